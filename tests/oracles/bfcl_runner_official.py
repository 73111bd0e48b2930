"""Ask BFCL's own runner about cases that its AST checker does not judge: a letter for each.

JSON Lines on stdin hold `row` and `said`: of tasks of several turns what was said turn by turn,
beside their `answers`; of questions to which no call, or any call, is right, the calls. Runs in an
environment of its own that has the packages bfcl-eval and mpmath, see record_bfcl.py.
The letters: 1 valid, 0 not valid, x the runner raised an exception.
"""

import importlib.abc
import importlib.machinery
import json
import sys
import types
from unittest.mock import MagicMock


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for the clients of models, which judging does not use."""

    def find_spec(self, name, path=None, target=None):
        ours = name.startswith("bfcl_eval") and "model_config" not in name
        return None if ours else importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        class Stub(types.ModuleType):
            def __getattr__(self, name):
                if name.startswith("__"):
                    raise AttributeError(name)
                return MagicMock()

        return Stub(spec.name)

    def exec_module(self, module):
        pass


def main():
    """Judge every case of stdin."""
    sys.modules["bfcl_eval.constants.model_config"] = types.SimpleNamespace(MODEL_CONFIG_MAPPING={})
    sys.meta_path.append(Absent())
    from bfcl_eval.eval_checker import eval_runner
    from bfcl_eval.model_handler.utils import convert_to_function_call

    def decode_execute(step, has_tool_call_tag):
        if isinstance(step, str):
            raise ValueError("text")
        return convert_to_function_call(step)

    def decode_ast(step, language, has_tool_call_tag):
        return step

    handler = types.SimpleNamespace(decode_execute=decode_execute, decode_ast=decode_ast)
    for number, line in enumerate(sys.stdin):
        case = json.loads(line)
        row, said = case["row"], case["said"]
        category = row["id"].rsplit("_", 1)[0]
        try:
            if "answers" in case:
                found = eval_runner._evaluate_single_multi_turn_entry(
                    handler, row["id"], said, case["answers"], row, f"case{number}", category
                )
            else:
                found = eval_runner._evaluate_single_relevance_entry(
                    handler, row["id"], said, row, "recorded", category
                )
            letter = "1" if found["valid"] else "0"
        except Exception:
            letter = "x"
        sys.stdout.write(letter)


if __name__ == "__main__":
    main()
