"""The cleaning rules in their order: each leaves a conversation alone, repairs or rejects it."""

from collections.abc import Callable

from chat.conversation import Conversation
from data.cleaning.call_rules import (
    declared_functions,
    given_values,
    kept_values,
    valid_calls,
)
from data.cleaning.result_rules import linked_results
from data.cleaning.system_rules import own_instructions
from data.cleaning.text_rules import visible_text, writable_text
from data.cleaning.tool_rules import distinct_tools, usable_tools
from data.cleaning.turn_rules import (
    ends_on_assistant,
    limited_turns,
    no_empty_turns,
    ordered_turns,
    whole_assistants,
)
from data.outcomes import Draft

# Every rule code with what it means, in the order in which they apply to a row.
MEANINGS: dict[str, str] = {
    "malformed-json": "rejected: the line is not JSON (only with --skip-malformed)",
    "wrong-layout": "rejected: the row does not have the layout of its file",
    "negative": "rejected: the row itself says that it shows what not to do",
    "unreadable-tools": "rejected: a tool declaration cannot be read",
    "unreadable-call": "rejected: a call is cut off, in no known notation, has no arguments, or "
    "reading it would lose a repeated key or digits",
    "null-padding": "repaired: a property or argument that is null for its column was left out",
    "tool-without-schema": "repaired: a tool of the service itself was left out (no function)",
    "supplied-tools": "repaired: the row declares no tools, and was given those of --tools-file",
    "call-syntax": "repaired: a call was encoded twice, had stray escapes, or was Python's",
    "written-call": "repaired: a call stood in a text, in the notation of another format",
    "written-result": "repaired: a result stood in a fence or after a label, as its call did",
    "written-answer": "repaired: an answer stood after the label of a last step",
    "reasoning": "repaired: what the model thought was left out, or stands in <think> now",
    "unfinished-thought": "rejected: a thought begins and does not end, so nothing is answered",
    "nested-too-deeply": "rejected: values stand in one another hundreds of levels deep",
    "invalid-text": "rejected: half a surrogate pair, NaN or Infinity, which JSON cannot hold",
    "too-many-turns": "rejected: more turns or calls than any model could take in",
    "control-characters": "repaired: invisible control characters were taken out of a turn",
    "end-mark": "repaired: the end mark of some chat format was taken off an answer",
    "foreign-instructions": "repaired: a system text told how to call in another notation",
    "repeated-tool": "repaired: the same tool was declared twice",
    "conflicting-tools": "rejected: one name is declared with different definitions",
    "unusable-name": "rejected: the name of a tool holds control characters",
    "invalid-schema": "rejected: the schema of a tool is no JSON Schema",
    "costly-schema": "rejected: whether a call fits the schema of its tool takes too long to tell",
    "split-assistant": "repaired: one assistant turn was written as several",
    "empty-ending": "repaired: turns without text at the end were cut off",
    "empty-turn": "rejected: a user or assistant says nothing, and others follow",
    "unanswered-ending": "repaired: what follows the last assistant turn was cut off",
    "no-assistant": "rejected: there is no assistant turn to learn from",
    "result-without-call": "rejected: a tool result that no call asked for",
    "call-without-result": "rejected: a call has no result, and the conversation goes on",
    "two-assistants": "rejected: two assistant turns in a row",
    "dangling-result": "rejected: whose result a turn is cannot be told by id, name or place",
    "result-order": "repaired: results stood in another order than their calls",
    "call-ids": "repaired: ids were missing, repeated or led nowhere, and are numbered anew",
    "function-name": "repaired: spaces or the prefix functions. stood around a declared name",
    "undeclared-function": "rejected: a function is called that is not declared",
    "placeholder-value": "rejected: an argument stands for a value that nobody gave",
    "text-value": "repaired: a number, truth value, list or object was written as a text",
    "invalid-arguments": "rejected: arguments do not fit the schema of their tool",
    "nothing-to-learn": "rejected: every turn of the assistant is marked as not to be learnt",
    "unwritable": "rejected: the chat format has no way to write it (only with --chat-format)",
    "rejected-answer": "repaired: the row is no pair; its rejected answer is unusable or the same",
    "no-functions": "rejected: no function is declared (only with --remove-no-fc)",
    "benchmark-copy": "rejected: a benchmark asks this question (only with --exclude-benchmark)",
    "duplicate": "rejected: the same conversation stands earlier in the file",
    "duplicate-other-tools": "rejected: an earlier conversation differs in its tools alone",
    "contradictory-labels": "rejected: an earlier row calls otherwise after the same turns",
    "near-duplicate": "rejected: an earlier conversation has the same calls and nearly all words",
    "weak-ending": "repaired: a last exchange of thanks or apology was cut off (only --balance)",
    "ending-at-question": "repaired: cut so that a question ends it (only --balance)",
    "ending-at-call": "repaired: cut so that a call ends it (only --balance)",
}

# What keeps a row that a rule dropped: a switch of scripts/clean_dataset.py, or another row.
KEPT_WITH: dict[str, str] = {
    "reasoning": "--thinking keep",
    "undeclared-function": "declare it in the row; where rows declare none, add --tools-file",
    "invalid-arguments": "correct them; where a format was the reason, leave out --check-formats",
    "negative": "--negatives pair, in a pair with a kept row of equal prompt",
    "unwritable": "name another --chat-format, or none",
    "no-functions": "leave out --remove-no-fc",
    "benchmark-copy": "leave out --exclude-benchmark",
    "duplicate": "--duplicates keep",
    "duplicate-other-tools": "--duplicates keep",
    "contradictory-labels": "--contradictions keep",
    "near-duplicate": "--duplicates exact",
    "weak-ending": "leave out --balance",
    "ending-at-question": "leave out --balance",
    "ending-at-call": "leave out --balance",
}

Rule = Callable[[Conversation], Draft]
RULES: tuple[Rule, ...] = (
    limited_turns,
    writable_text,
    visible_text,
    own_instructions,
    distinct_tools,
    usable_tools,
    whole_assistants,
    no_empty_turns,
    ends_on_assistant,
    ordered_turns,
    declared_functions,
    linked_results,
    kept_values,
    given_values,
    valid_calls,
)

# What a call is measured by; an answer that is not to be learnt may break these.
RULES_OF_CALLS: tuple[Rule, ...] = (declared_functions, given_values, valid_calls)
