"""Known sentences with which system texts demand a notation of calls other than the trained one.

Every gap in an expression is short, so that the time stays linear in the text.
"""

import re

_CALLING = r"(?:tool|function|API|tool[ /]function|function[ /]tool)"
_MARK = (
    r"(?:</?tool_calls?>|<function=(?:[^\n<>]{0,60}>[^\n<]{0,120}</function>)?|</?function_calls?>|<functioncall>|\[TOOL_CALLS\]"
    r"|<\|python_tag\|>|<\|tool_call\|>|<\{start_tag\})"
)
_EXPRESSION = r"\[\s{0,3}(?:func|tool|api)\w*\([^\n\]]{0,300}\]"
_RECORD = r"\{\s{0,4}[\"'](?:name|tool|tool_name|function|action|tool_uses|tool_calls)[\"']"
_BLOCK = (
    r"(?:<tool_call>(?:(?!</tool_call>)[\s\S]){0,900}</tool_call>"
    r"|<function=(?:(?!</function>)[\s\S]){0,500}</function>"
    r"|<\{start_tag\}[^\n]{0,120}"
    r"|<functioncall>[^\n]{0,200}|\[TOOL_CALLS\][^\n]{0,200})"
)
_IN_FORMAT = (
    rf"[^\[]{{0,240}}\b(?:in (?:the|this|following) (?:following )?(?:format|form)(?: of)?|as"
    rf"(?: follows)?|like(?: this)?):?\s{{0,3}}{_EXPRESSION}\.?"
)
# What stands around a mark that is named in a sentence, up to the end of that sentence.
_TO_END = r"[^.\n<\[]{0,120}(?:</tool_call>[^.\n<\[]{0,120})?(?:[.:](?=\s|\Z)|(?=\n|\Z|<))"
_WHENEVER = (
    rf"(?:For (?:each|every) {_CALLING}(?: call)?\b|To (?:call|use|invoke|make)\b"
    rf"|When(?:ever)? (?:you )?(?:call|us|invok|mak|need)\w{{0,3}}\b"
    rf"|(?:If|Should) you (?:decide|choose|want|wish|need|call|use|have)\b"
    rf"|\b(?:Use|Call|Invoke) (?:\w{{1,20}} ){{0,3}}(?:tools?|functions?)\b"
    rf"|\b(?:Return|Respond|Reply|Output|Emit|Write|Wrap|Enclose|Put|Place|Format|Make)\b"
    rf"[^.\n<\[]{{0,80}}\b(?:calls?|calling|functions?|tools?|invocations?|json)\b"
    rf"|\b{_CALLING} calls? (?:must|should|are|go)\b)"
)

# A text without any of these needs no search for the sentences that name one.
MARK = re.compile(rf"{_MARK}|\[\s*(?:func|tool|api)|{_RECORD}", re.IGNORECASE)

# Sentences that say when to write a mark, with the blocks that show how.
MARKED_LEAD_INS = tuple(
    re.compile(text, re.IGNORECASE)
    for text in (
        rf"{_WHENEVER}[^.\n<\[]{{0,240}}{_MARK}{_TO_END}(?:\s{{0,4}}{_BLOCK})*",
        rf"{_WHENEVER}[^.\n<\[]{{0,240}}(?:as follows|(?:following|this) (?:XML |JSON )?format"
        rf"[^.\n<\[]{{0,80}}):\s{{0,4}}{_BLOCK}(?:\s{{0,4}}{_BLOCK})*",
        # The same with a record.
        rf"(?:To|When(?:ever)? you|If you|For (?:each|every))\b[^.\n{{]{{0,80}}"
        rf"\b(?:call\w{{0,3}}|invo\w{{0,5}}|us\w{{1,3}}|need|want|require)\b[^.\n{{]{{0,40}}"
        rf"\b(?:tool|function|API)s?\b[^.\n{{]{{0,160}}"
        rf"\b(?:JSON|object|format|form)\b[^.\n{{]{{0,120}}\s{{0,3}}(?:```(?:json)?\s{{0,2}})?"
        rf"{_RECORD}[^\n]{{0,300}}\}}(?:\s{{0,2}}```)?(?:[^.\n{{}}]{{0,80}}\.)?",
        # ToolACE, BFCL
        rf"Should you (?:decide|choose|want|need)\b{_IN_FORMAT}",
        rf"If you (?:decide|choose|want|need)\b{_IN_FORMAT}",
        rf"Put (?:it|them|the calls|your calls)\b{_IN_FORMAT}",
        *(rf"{verb}\b{_IN_FORMAT}" for verb in ("Return", "Write", "Format", "Output")),
    )
)

# Sentences that announce the tools, or how they are called, by themselves. Expressions that begin
# with letters which must stand there are searched for ten times as fast as others.
LEAD_INS = tuple(
    re.compile(text, re.IGNORECASE)
    for text in (
        # Hermes, Qwen, GLM
        r"# Tools\s{1,4}(?=You may call one or more functions to assist with the user query\.)",
        r"You may call one or more functions to assist with the user query\.",
        r"You are provided with function signatures within <tools>\s{0,3}</tools>"
        r"(?: XML tags)?[.:]?",
        r"Here are the available (?:tools|functions):?(?=\s{0,4}<tools>\s{0,4}[\[{])",
        r"Use the following pydantic model json schema for (?:each|every) tool call you will make:?"
        r"(?:\s{0,4}\{[^\n]{0,500}\})?",
        # ToolACE, BFCL
        r"You (?:are an expert in composing|compose) functions\."
        r"(?:\s{0,2}You are given a question and a set of possible functions\.)?"
        r"(?:\s{0,2}Based on the question, you will need to make one or more function(?:/tool)? "
        r"calls to achieve the purpose\.)?",
        r"Here (?:is|are) (?:a|the) list of (?:functions|tools) in JSON format(?: that you can "
        r"(?:invoke|call|use))?[.:]?",
        r"Below (?:is|are) (?:a|the) list of (?:functions|tools) in JSON format(?: that you can "
        r"(?:invoke|call|use))?[.:]?",
        r"You should only return the function calls? in (?:the |your )?"
        r"(?:tools call sections|response)\.",
        r"NO other text MUST be included\.?",
        r"You SHOULD NOT include any other text in the response\.?",
        # Llama 3.1
        r"Given the following functions, please respond with a JSON for a function call with its "
        r"proper arguments that best answers the given prompt\.",
        r"Respond in the format \{\"name\": function name, \"parameters\": dictionary of argument "
        r"name and its value\}\.?(?:\s{0,2}Do not use variables\.)?",
        r"You have access to the following functions\.\s{0,2}(?=To call a function, please)",
        r"To call a function, please respond with JSON for a function call\.",
        r"where\s{1,4}start_tag => `<function`\s{1,2}parameters => [^\n]{0,200}\s{1,2}end_tag => "
        r"`</function>`",
        r"Here is an example,?:?\s{0,3}<function=[^\n]{0,200}</function>",
        r"Reminder:(?:\s{0,2}- (?:Function calls MUST|Required parameters MUST|Only call one "
        r"function|Put the entire function call|If there is no function call|You may provide)"
        r"[^\n]{0,240})+",
        r"<IMPORTANT>\s{0,3}(?=</IMPORTANT>|Reminder:)|</IMPORTANT>",
        # Salesforce's xLAM
        r"The output MUST strictly adhere to the following JSON format[^\n]{0,60}\s{0,3}"
        r"(?:The example format is as follows[^\n]{0,200}\s{0,3})?"
        r"```(?:json)?\s{0,3}\{\s{0,3}\"tool_calls\"[^`]{0,400}```",
        # ReAct
        r"(?:Use|Follow) the following format:?\s{0,4}(?:Question:[^\n]{0,120}\s{1,3})?"
        r"Thought:[^\n]{0,160}\s{1,3}Action:[^\n]{0,400}\s{1,3}Action Input:[^\n]{0,160}"
        r"(?:\s{1,3}(?:Observation|Thought|Final Answer|\.\.\.)[^\n]{0,160}){0,5}"
        r"(?:\s{1,4}Begin!)?",
    )
)

# What leads to a list of tools, and is left over where the list or the sentences after it are gone.
ANNOUNCEMENT = re.compile(
    r"(?:Here (?:is|are) (?:the |a list of |the list of )?(?:available )?(?:tools|functions)"
    r"(?: available| (?:that )?you (?:can|may) (?:use|call|invoke))?|Available (?:tools|functions)"
    r"|(?:You have )?access to the following (?:tools|functions)):\s{0,8}\Z",
    re.IGNORECASE,
)
