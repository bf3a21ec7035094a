"""The stores are what they are taken for: PostgreSQL, Redis, and an S3 server that honours conditional puts."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from stores import PASSWORDS, Stores


def code_of(error: pytest.ExceptionInfo[ClientError]) -> int:
    return int(error.value.response["ResponseMetadata"]["HTTPStatusCode"])


def test_postgres_has_both_databases_and_comes_back_after_a_restart(services: Stores) -> None:
    import psycopg2

    connection = psycopg2.connect(services.database("mlflow", "postgresql"))
    services.restart_postgres()
    with pytest.raises(psycopg2.OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    psycopg2.connect(services.database("mlflow", "postgresql")).close()


def test_redis_asks_for_its_password(services: Stores) -> None:
    import redis

    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=services.redis_port).ping()
    assert redis.Redis(port=services.redis_port, password=PASSWORDS["REDIS_PASSWORD"]).ping()


def test_s3_puts_only_where_nothing_is_and_only_over_what_was_read(services: Stores) -> None:
    s3 = services.s3_client()
    s3.create_bucket(Bucket="conditional")
    first = s3.put_object(Bucket="conditional", Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket="conditional", Key="k", Body=b"2", IfNoneMatch="*")
    assert code_of(refused) == 412
    s3.put_object(Bucket="conditional", Key="k", Body=b"3", IfMatch=first)
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket="conditional", Key="k", Body=b"4", IfMatch=first)
    assert code_of(refused) == 412
    assert s3.get_object(Bucket="conditional", Key="k")["Body"].read() == b"3"
