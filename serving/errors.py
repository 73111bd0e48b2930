"""Errors in the form of OpenAI's API."""

from typing import Any


class ApiError(Exception):
    """An error that is sent instead of a reply.

    param: The place in the request, such as messages[0].content.
    code: The error code for programs.
    wait: The seconds until the client may try again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        wait: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.headers = {} if wait is None else {"Retry-After": str(wait)}

    def to_record(self) -> dict[str, Any]:
        """Return the body of the answer."""
        kinds = {401: "authentication_error", 429: "rate_limit_error"}
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        error = {"message": str(self), "type": kinds.get(self.status, kind)}
        return {"error": {**error, "param": self.param, "code": self.code}}


def refused(message: str, param: str | None, code: str = "invalid_value") -> ApiError:
    """Return the error of an invalid request."""
    return ApiError(400, message, param, code)
