"""The one polite HTTP client: what every reader of sites shares.

A client keeps to one pace per host however many threads use it, obeys robots.txt, says who it is, gives up at a
deadline, reads no more than a cap, and connects to public addresses only, except to hosts that its maker names. Every
answer is a whole page or a typed error; no error holds a query or a credential of the URL.
"""

from framework.http.client import Accept, PoliteClient
from framework.http.page import Page

__all__ = ["Accept", "Page", "PoliteClient"]
