"""Tests of the whole: architecture, journeys through the gateway, faults, deployment files."""
