"""The second stage: threads that read images and what is said of them."""

import hashlib

from imagesearch_ingest import digests
from imagesearch_ingest.budget import ByteBudget, StoppedError
from imagesearch_ingest.formats import looks_like_image, too_large
from imagesearch_ingest.items import RefusedError
from imagesearch_ingest.journal import Entry
from imagesearch_ingest.listing import not_read
from imagesearch_ingest.metadata import Describing
from imagesearch_ingest.work import Loaded, Outcome, Work


class Reader:
    """Reads images. May be used from many threads.

    Args:
        describing: How they are described.
        budget: Bounds the bytes that have been read and are not done with.
        again: Send also what has not changed.
    """

    def __init__(self, describing: Describing, budget: ByteBudget, again: bool) -> None:
        self._describing = describing
        self._budget = budget
        self._again = again

    def load(self, work: Work) -> Loaded | Outcome:
        """Reads one image; waits until there is room for it.

        Raises:
            StoppedError: The pipeline is stopping.
        """
        content, held = work.content, work.held
        try:
            if content is None:
                self._budget.take(work.item.size)
                held = work.item.size
                content = work.item.read()
                self._budget.correct(held, len(content))
                held = len(content)
            return self._loaded(work, content, held)
        except StoppedError:
            raise
        except Exception as error:  # of many libraries; this image's own: the others go on
            return not_read(work.item.key, work.stamp, error, held)

    def _loaded(self, work: Work, content: bytes, held: int) -> Loaded | Outcome:
        if not content:
            raise RefusedError("is empty")
        if why := too_large(len(content)):
            raise RefusedError(why)
        if not looks_like_image(content):
            raise RefusedError("is no image of a known format")
        image = hashlib.sha256(content).digest()
        if work.item.sha256 and image.hex() != work.item.sha256:
            raise RefusedError("its bytes are not those that the manifest says (sha256)")
        upload = self._describing.upload(content, work.item.facts())
        said = digests.said(upload)
        place = digests.place(upload.relative_path, upload.url, upload.page_url)
        before = work.before
        if before is not None and (before.image, before.said) == (image, said) and not self._again:
            entry = Entry(work.item.key, work.stamp, image, said, place, before.made, "")
            return Outcome(entry, "unchanged", held)
        return Loaded(work.item.key, work.stamp, upload, image, said, place, held)
