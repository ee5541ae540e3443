"""The registry of metadata services: a new service is its file and one field here."""

from pydantic import BaseModel, ConfigDict, Field

from storage.sources.web.omdb_api import OmdbApi
from storage.sources.web.service import WebService
from storage.sources.web.tmdb_api import TmdbApi


class WebServices(BaseModel):
    """The services that can be asked, the most trusted first; the fields are parameters of a source."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    tmdb_api: TmdbApi = Field(TmdbApi(), description="Whether and how TMDB is asked over HTTP.")
    omdb_api: OmdbApi = Field(OmdbApi(), description="Whether and how OMDb is asked over HTTP.")


def enabled_services(services: WebServices) -> dict[str, WebService]:
    """The enabled services by name, the most trusted first."""
    every: list[WebService] = [getattr(services, field) for field in WebServices.model_fields]
    return {service.name: service for service in every if service.enabled}
