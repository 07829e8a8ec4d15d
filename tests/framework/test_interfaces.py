"""The five interfaces: what must be written, and that this is enough."""

from __future__ import annotations

import inspect

import pytest

from framework.interfaces import ICalculator, IDataBackup, IDataSaver, IDataSource, IScraper

DEMANDED = {
    IDataSource: {"get_data": ["source"], "list_sources": [], "health_check": []},
    IDataSaver: {
        "save_data": ["data", "destination"],
        "save_with_backup": ["data", "destination"],
        "health_check": [],
    },
    IDataBackup: {"backup_data": ["source"], "backup_all": [], "health_check": []},
    ICalculator: {
        "run_complete_calculation": ["data_source", "data_saver", "backup_service", "sources"],
        "health_check": [],
    },
    IScraper: {
        "scrape_data": ["data_saver"],
        "scrape_single_source": ["source_name", "data_saver"],
        "get_available_sources": [],
        "health_check": [],
    },
}


@pytest.mark.parametrize("interface", DEMANDED, ids=lambda interface: interface.__name__)
def test_an_interface_demands_just_its_methods(interface: type) -> None:
    """No more must be written than the interface lists, with the parameters that it lists."""
    assert interface.__abstractmethods__ == frozenset(DEMANDED[interface])
    for name, parameters in DEMANDED[interface].items():
        assert list(inspect.signature(getattr(interface, name)).parameters) == ["self", *parameters]


@pytest.mark.parametrize("interface", DEMANDED, ids=lambda interface: interface.__name__)
def test_a_class_with_just_these_methods_can_be_made(interface: type) -> None:
    """And one that lacks a method cannot."""
    methods = {name: lambda self, *given: None for name in DEMANDED[interface]}
    type("Whole", (interface,), methods)()
    methods.pop("health_check")
    with pytest.raises(TypeError, match="health_check"):
        type("Lacking", (interface,), methods)()
