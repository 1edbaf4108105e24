"""Images from anywhere into an index: listed, read, sent, and remembered.

A source lists items (`items`), a journal says which of them are new (`journal`), threads
read these (`reading`), streams send them (`sending`), and what was acknowledged is
written to the journal (`recording`). `pipeline` joins the stages.
"""
