#!/usr/bin/env bash
# Run once before the services: databases, the administrator, the pool and the buckets. Running it again changes nothing.
set -euo pipefail
airflow db migrate
airflow users create --role Admin --username "$ADMIN_USER" --password "$ADMIN_PASSWORD" \
  --firstname recpipe --lastname admin --email admin@example.org
airflow pools set gpu "$GPUS" "one training job at a time and GPU"
python - <<'PYTHON'
import boto3
from botocore.exceptions import ClientError

s3 = boto3.client("s3", endpoint_url="http://s3:9000", region_name="us-east-1")
for bucket in ("recpipe", "recpipe-models"):
    try:
        s3.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
PYTHON
