"""The intake's ports over DynamoDB and S3."""
