"""What schemathesis cannot know: which texts are names of time zones, and whom the Example CRM knows."""

import schemathesis
from hypothesis import strategies as st

schemathesis.openapi.format(
    "iana-time-zone", st.sampled_from(["UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata"])
)


@schemathesis.hook
def map_body(context, body):
    """Has a contact that is there in place of one that is made up, so that calls are logged and updates find them."""
    if isinstance(body, dict) and ("logInfo" in body or "callLog" in body):
        kept = {name: value for name, value in body.items() if name not in ("contactInfo", "authHeader")}
        return {**kept, "contactId": "c-2"}
    return body
