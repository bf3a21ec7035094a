#!/usr/bin/env bash
# Run once before the services: databases, the administrator, the pool and the buckets. Running it again changes nothing.
set -euo pipefail
airflow db migrate
airflow users create --role Admin --username "$ADMIN_USER" --password "$ADMIN_PASSWORD" \
  --firstname recpipe --lastname admin --email admin@example.org
airflow pools set gpu "$GPUS" "one training job at a time and GPU"
python - <<'PYTHON'
import json
import os

import boto3
from botocore.exceptions import ClientError

options = json.loads(os.environ["RECPIPE_STORAGE_OPTIONS"])
s3 = boto3.client("s3", endpoint_url=options["AWS_ENDPOINT_URL"], region_name=options["AWS_REGION"])
for bucket in ("recpipe", "recpipe-models"):
    try:
        s3.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
PYTHON
