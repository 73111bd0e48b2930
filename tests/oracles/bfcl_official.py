"""Ask the official AST checker of BFCL: JSON Lines of cases on stdin, a letter each on stdout.

Runs in an environment of its own that has the packages bfcl-eval and mpmath, see record_bfcl.py.
The letters: 1 valid, 0 not valid, x the checker raised an exception.
"""

import json
import sys
import types


def load_checker():
    """Import the checker without the registry of models, which would import their clients."""
    registry = types.ModuleType("bfcl_eval.constants.model_config")
    model = types.SimpleNamespace(underscore_to_dot=False)
    registry.MODEL_CONFIG_MAPPING = {"recorded": model}
    sys.modules["bfcl_eval.constants.model_config"] = registry
    from bfcl_eval.constants.enums import Language
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker

    return ast_checker, Language


def main():
    """Judge every case of stdin."""
    checker, languages = load_checker()
    for line in sys.stdin:
        case = json.loads(line)
        try:
            found = checker(
                case["functions"],
                case["calls"],
                case["answers"],
                languages(case["language"]),
                case["category"],
                "recorded",
            )
            letter = "1" if found["valid"] else "0"
        except Exception:
            letter = "x"
        sys.stdout.write(letter)


if __name__ == "__main__":
    main()
