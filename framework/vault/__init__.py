"""Vault: verified copies of any store's tables, and the way back."""

from framework.vault.places import LocalPlace, Place
from framework.vault.remote import RemotePlace
from framework.vault.vault import Vault

__all__ = ["LocalPlace", "Place", "RemotePlace", "Vault"]
