"""Contracts of the image-search services: messages and stubs, one package a service."""
