from prometheus_client import CollectorRegistry

from service_kit.admission import BYTES, PIXELS, Admission, AdmissionError, Limits
from service_kit.admission_metrics import watch_admission


def told(registry: CollectorRegistry, name: str, kind: str) -> float | None:
    return registry.get_sample_value(f"imagesearch_admission_{name}", {"kind": kind})


def test_what_is_held_and_refused_is_told() -> None:
    registry = CollectorRegistry()
    limits = Limits(calls=1, streams=5, request_bytes=100, request_pixels=1_000)
    admission = Admission(limits)
    watch_admission(registry, admission)

    permit = admission.enter(streaming=False)
    permit.hold(BYTES, 60)
    permit.hold(PIXELS, 700)
    admission.enter(streaming=True)
    for _ in range(2):
        try:
            admission.enter(streaming=False)
        except AdmissionError:
            continue

    kinds = ("calls", "streams", "bytes", "pixels")
    assert [told(registry, "held", kind) for kind in kinds] == [1, 1, 60, 700]
    assert [told(registry, "limit", kind) for kind in kinds] == [1, 5, 100, 1_000]
    assert [told(registry, "refused_total", kind) for kind in kinds] == [2, 0, 0, 0]

    permit.leave()
    assert [told(registry, "held", kind) for kind in kinds] == [0, 1, 0, 0]


def test_pixels_that_are_not_counted_are_not_told() -> None:
    registry = CollectorRegistry()
    watch_admission(registry, Admission(Limits(calls=1, streams=5, request_bytes=100)))

    assert told(registry, "held", "bytes") == 0
    assert told(registry, "held", "pixels") is None
