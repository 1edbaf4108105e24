from prometheus_client import CollectorRegistry

from service_kit.admission import Admission, AdmissionError, Limits
from service_kit.admission_metrics import watch_admission


def test_what_is_held_and_refused_is_told() -> None:
    registry = CollectorRegistry()
    admission = Admission(Limits(calls=1, streams=5, request_bytes=100))
    watch_admission(registry, admission)

    admission.enter(streaming=False).hold(60)
    admission.enter(streaming=True)
    for _ in range(2):
        try:
            admission.enter(streaming=False)
        except AdmissionError:
            continue

    def value(name: str, kind: str) -> float | None:
        return registry.get_sample_value(f"imagesearch_admission_{name}", {"kind": kind})

    assert [value("held", kind) for kind in ("calls", "streams", "bytes")] == [1, 1, 60]
    assert [value("limit", kind) for kind in ("calls", "streams", "bytes")] == [1, 5, 100]
    assert [value("refused_total", kind) for kind in ("calls", "streams")] == [2, 0]
