"""Everything MiniStack 1.5.33 lacks that Glaciate needs, filled in process.

Each gap names what AWS does and MiniStack does not. `tests/integration/test_local_cloud_gaps.py` probes every one
twice: against this server (it must be filled) and against MiniStack alone (it must still be there), so that an
upgrade of MiniStack tells which fills can go. `infra/local/README.md` lists them for a reader.
"""

from glaciate_local.gaps import apigateway, batch, cloudformation, events, functions, iam, s3_checksums, s3_thaw, sqs
from glaciate_local.gaps.gap import Gap

GAPS: tuple[Gap, ...] = (
    *apigateway.GAPS,
    *batch.GAPS,
    *cloudformation.GAPS,
    *events.GAPS,
    *functions.GAPS,
    *iam.GAPS,
    *s3_checksums.GAPS,
    *s3_thaw.GAPS,
    *sqs.GAPS,
)
