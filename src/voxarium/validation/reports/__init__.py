"""Reports as documents: HTML for people, SARIF and JUnit for services that collect the results of checks."""

from voxarium.validation.reports.html import html_page
from voxarium.validation.reports.junit import junit_document
from voxarium.validation.reports.sarif import sarif_document

__all__ = ["html_page", "junit_document", "sarif_document"]
