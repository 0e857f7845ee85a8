"""Callbacks for `fit`: what is written while a model trains."""
