"""The workers' network: bytes to S3 and DynamoDB cost nothing, and nobody calls a worker."""

import json

from stack import NESTED, resource, resources, target_of


def test_no_byte_passes_a_nat() -> None:
    assert not resources("AWS::EC2::NatGateway")


def test_s3_and_dynamodb_are_reached_through_gateways_on_every_worker_s_route() -> None:
    gateways = [
        one.properties for one in resources("AWS::EC2::VPCEndpoint") if one.properties["VpcEndpointType"] == "Gateway"
    ]
    associations = resources("AWS::EC2::SubnetRouteTableAssociation")
    routes = {target_of(one.properties["SubnetId"]): target_of(one.properties["RouteTableId"]) for one in associations}
    compute = resource("foundation", "ComputeEnvironment").properties["ComputeResources"]

    assert {one["ServiceName"]["Fn::Sub"].rpartition(".")[2] for one in gateways} == {"s3", "dynamodb"}
    for subnet in compute["Subnets"]:
        for gateway in gateways:
            assert routes[target_of(subnet)] in {target_of(table) for table in gateway["RouteTableIds"]}


def test_nobody_calls_a_worker() -> None:
    group = resource("foundation", "WorkerSecurityGroup").properties

    assert "SecurityGroupIngress" not in group
    assert not resources("AWS::EC2::SecurityGroupIngress")
    assert [(rule["FromPort"], rule["ToPort"]) for rule in group["SecurityGroupEgress"]] == [(443, 443)]


def test_a_public_network_has_a_way_out_and_a_private_one_has_every_endpoint_the_workers_need() -> None:
    conditions = {name: one.get("Condition") for name, one in NESTED["foundation"]["Resources"].items()}
    interfaces = {
        one.properties["ServiceName"]["Fn::Sub"].partition("${AWS::Region}.")[2]
        for one in resources("AWS::EC2::VPCEndpoint")
        if one.properties["VpcEndpointType"] == "Interface" and one.document["Condition"] == "WorkersArePrivate"
    }

    assert conditions["InternetRoute"] == conditions["InternetGateway"] == "WorkersArePublic"
    assert interfaces == {"sqs", "events", "logs", "ecr.api", "ecr.dkr"}  # S3 and DynamoDB have gateways


def test_each_service_has_its_own_queue_of_jobs_on_the_one_environment() -> None:
    for queue in resources("AWS::Batch::JobQueue"):
        order = queue.properties["ComputeEnvironmentOrder"]
        assert json.dumps(order) == json.dumps([{"Order": 1, "ComputeEnvironment": {"Ref": "ComputeEnvironment"}}])
    assert {queue.template for queue in resources("AWS::Batch::JobQueue")} == {"packer", "unpacker"}
