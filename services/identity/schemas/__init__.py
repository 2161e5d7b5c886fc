"""The JSON of identity's HTTP API: what comes in, parsed; what goes out, and nothing more."""

from services.identity.schemas.bodies import (
    ChangeBody,
    EditBody,
    EmailBody,
    EmailChangeBody,
    PasswordBody,
    ProfileBody,
    RegisterBody,
    ResetBody,
    RolesBody,
    TokenBody,
    UsersQuery,
)
from services.identity.schemas.imported import (
    ImportEnd,
    ImportLine,
    LineResult,
    read_line,
    write_end,
    write_result,
)
from services.identity.schemas.views import (
    AccountPage,
    AccountView,
    FailurePage,
    LoginPage,
    LoginView,
    ProfileView,
    Registered,
)

__all__ = [
    "AccountPage",
    "AccountView",
    "ChangeBody",
    "EditBody",
    "EmailBody",
    "EmailChangeBody",
    "FailurePage",
    "ImportEnd",
    "ImportLine",
    "LineResult",
    "LoginPage",
    "LoginView",
    "PasswordBody",
    "ProfileBody",
    "ProfileView",
    "RegisterBody",
    "Registered",
    "ResetBody",
    "RolesBody",
    "TokenBody",
    "UsersQuery",
    "read_line",
    "write_end",
    "write_result",
]
