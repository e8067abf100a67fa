"""PID 1 with torchrun as torch 2.11 has it: one port for all trials, 30 seconds to leave."""

from __future__ import annotations

import argparse
from typing import Any

from torch.distributed import run
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent

from scaletune_trainer import main

parser_of_today = run.get_args_parser


def parser() -> argparse.ArgumentParser:
    found: argparse.ArgumentParser = parser_of_today()
    later = found._option_string_actions["--shutdown-timeout"]
    found._remove_action(later)
    for name in later.option_strings:
        del found._option_string_actions[name]
    found.set_defaults(master_port=29500, shutdown_timeout=None)
    return found


def shut_down(agent: Any, death_sig: Any = None, timeout: int = 30) -> None:
    if agent._pcontext:
        agent._pcontext.close(death_sig)


run.get_args_parser = parser
LocalElasticAgent._shutdown = shut_down  # type: ignore[method-assign,assignment]
main.main()
