"""Every published type by its name."""

from contracts import audit, commands, gateway, identity, notify, token
from contracts.envelope import CommandData, EventData

EVENT_TYPES: dict[str, type[EventData]] = {
    event.type: event
    for module in (identity, token, notify, audit, gateway)
    for event in module.EVENTS
}

COMMAND_TYPES: dict[str, type[CommandData]] = {
    command.type: command for command in commands.COMMANDS
}
