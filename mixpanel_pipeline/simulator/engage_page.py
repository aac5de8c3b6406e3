"""One page of profiles, as an object that faults can change, and its JSON."""

from dataclasses import dataclass

from mixpanel_pipeline.simulator.events import encode_json


@dataclass
class Page:
    """An answer before it is bytes; `profiles` None leaves out `results`."""

    number: int
    page_size: int
    session_id: str
    profiles: list[bytes] | None
    total: int | None
    status: str = "ok"

    def encoded(self) -> bytes:
        members = [b'"page":%d,"page_size":%d' % (self.number, self.page_size)]
        if self.profiles is not None:
            members.append(b'"results":[%b]' % b",".join(self.profiles))
        members.append(b'"session_id":%b,"status":%b' % (encode_json(self.session_id), encode_json(self.status)))
        if self.total is not None:
            members.append(b'"total":%d' % self.total)
        return b"{" + b",".join(members) + b"}"
