"""Buckets and tables: nothing public, nothing lost with the stack, keys as the models say."""

import pytest

from glaciate.tables import ArchiveRow, FileRow, JobRow, Listing
from stack import Resource, resource, resources

BUCKETS = resources("AWS::S3::Bucket")
TABLES = resources("AWS::DynamoDB::Table")
TRUE = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)


@pytest.mark.parametrize("kept", [*BUCKETS, *TABLES], ids=str)
def test_data_outlives_the_stack(kept: Resource) -> None:
    assert kept.document["DeletionPolicy"] == "Retain"
    assert kept.document["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("bucket", BUCKETS, ids=str)
def test_a_bucket_is_private_and_encrypted(bucket: Resource) -> None:
    assert bucket.properties["PublicAccessBlockConfiguration"] == TRUE
    assert bucket.properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert bucket.properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]


@pytest.mark.parametrize("bucket", BUCKETS, ids=str)
def test_a_bucket_is_spoken_to_over_tls_only(bucket: Resource) -> None:
    (policy,) = (
        one.properties for one in resources("AWS::S3::BucketPolicy") if one.properties["Bucket"] == {"Ref": bucket.name}
    )
    (statement,) = policy["PolicyDocument"]["Statement"]

    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [{"Fn::GetAtt": [bucket.name, "Arn"]}, {"Fn::Sub": f"${{{bucket.name}.Arn}}/*"}]


@pytest.mark.parametrize("bucket", BUCKETS, ids=str)
def test_an_upload_that_nobody_completes_is_aborted(bucket: Resource) -> None:
    rules = bucket.properties["LifecycleConfiguration"]["Rules"]

    assert any("AbortIncompleteMultipartUpload" in rule and rule["Status"] == "Enabled" for rule in rules)


def test_nothing_expires_in_the_vault() -> None:
    rules = resource("foundation", "VaultBucket").properties["LifecycleConfiguration"]["Rules"]

    assert [set(rule) - {"Id", "Status"} for rule in rules] == [{"AbortIncompleteMultipartUpload"}]


@pytest.mark.parametrize(("bucket", "days"), [("WorkBucket", "WorkExpiryDays"), ("RestoreBucket", "RestoreExpiryDays")])
def test_what_is_only_needed_for_a_while_expires(bucket: str, days: str) -> None:
    rules = resource("foundation", bucket).properties["LifecycleConfiguration"]["Rules"]

    assert {"Ref": days} in [rule.get("ExpirationInDays") for rule in rules]


def test_the_vault_tells_eventbridge_what_was_thawed() -> None:
    vault = resource("foundation", "VaultBucket").properties

    assert vault["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_a_table_costs_by_use_and_can_be_taken_back_to_any_second(table: Resource) -> None:
    assert table.properties["BillingMode"] == "PAY_PER_REQUEST"
    recovery = table.properties["PointInTimeRecoverySpecification"]
    assert recovery == {"PointInTimeRecoveryEnabled": {"Ref": "PointInTimeRecovery"}}


@pytest.mark.parametrize(
    ("name", "model"), [("FilesTable", FileRow), ("ArchivesTable", ArchiveRow), ("JobsTable", JobRow)]
)
def test_a_table_s_keys_are_its_model_s(name: str, model: type[FileRow | ArchiveRow | JobRow]) -> None:
    schema = resource("foundation", name).properties["KeySchema"]

    keys = {one["KeyType"]: one["AttributeName"] for one in schema}

    assert keys == {"HASH": model._hash_keyname, "RANGE": model._range_keyname}


def test_the_listing_index_is_the_model_s() -> None:
    (index,) = resource("foundation", "JobsTable").properties["GlobalSecondaryIndexes"]

    keys = {one["KeyType"]: one["AttributeName"] for one in index["KeySchema"]}

    assert index["IndexName"] == Listing.Meta.index_name
    assert index["Projection"] == {"ProjectionType": "ALL"}
    assert keys == {"HASH": Listing.list_key.attr_name, "RANGE": Listing.list_order.attr_name}


def test_rows_that_end_by_themselves_do() -> None:
    jobs, idempotency = (resource("foundation", name).properties for name in ("JobsTable", "IdempotencyTable"))

    assert jobs["TimeToLiveSpecification"] == {"AttributeName": JobRow.expires_at.attr_name, "Enabled": True}
    assert idempotency["TimeToLiveSpecification"] == {"AttributeName": "expiration", "Enabled": True}
    assert idempotency["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
