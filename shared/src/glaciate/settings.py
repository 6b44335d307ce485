"""What every service's settings have in common: one frozen model a service, read from the environment, checked before any work."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Field `pack_queue_url` is the environment variable `PACK_QUEUE_URL`; names carry units."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")
