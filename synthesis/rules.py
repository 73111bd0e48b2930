"""Rules as system texts have them, and what assistants and users say where one decides."""

CONFIRM_RULES = (
    "Before you call {tool}, repeat what you are about to do and wait for a yes.",
    "Never call {tool} without asking the user for confirmation first.",
    "{tool}: (always|you must) ask (for confirmation|whether it is all right) before the call.",
    "(Get|Wait for) the user's explicit agreement to all details before every call of {tool}.",
)
CONFIRM_QUESTIONS = (
    "(before I do that|just to be sure|to confirm)(:|,) I am about to {purpose}[{details}]. (Shall "
    "I go ahead|Is that right|Do you agree)?",
    "(I would|I will) {purpose}[{details}]. (May I|Shall I|Do you want me to go ahead)?",
    "please confirm: {purpose}[{details}]. (Yes or no|Is that all right)?",
)
AGREEMENTS = (
    "yes(.|, please.|, go ahead.|, do that.|, that's right.)",
    "(go ahead|do it|please do|confirmed|correct|that's right|sounds good)(.|, thanks.|!)",
    "(yep|yeah|sure|okay|fine)(.|, all correct.|, go on.)",
)
REJECTIONS = (
    "no, (leave it|never mind|I changed my mind|better not)(.|, thanks.)",
    "(stop|wait|hold on), (I don't want that any more|forget it|not yet)(.|, please.)",
    "(actually|on second thoughts), (no|don't|leave it)(.|, thanks.)",
)
LEFT_ALONE = (
    "(all right|okay|as you like), I have (done|changed) nothing(.|. Tell me if you need it "
    "later.)",
    "(no problem|understood)(:|,) (nothing was done|I have left it)(.|. Just write if you change "
    "your mind.)",
)
CHANGES = (
    "(not quite|almost|no, wait): (make the|the) {noun} {value}(.|, please.|, the rest is right.)",
    "(change|please change) the {noun} to {value}(.| first.|, then yes.)",
    "yes, but with {value} as the {noun}(.|, please.)",
)
LIMIT_RULES = (
    "{tool}: (no {noun}|nothing with the {noun}) above {limit}(.|, whatever the user says.)",
    "(Do not call|Never call) {tool} when the {noun} is above {limit}; (say so instead|refuse and "
    "tell the limit).",
    "The {noun} of {tool} (may|can) be at most {limit}; (refuse|decline) anything above.",
)
LIMIT_REFUSALS = (
    "I'm (sorry, but|afraid) the {noun} (can|may) be at most {limit} here, and you asked for "
    "{wrong}. (Shall I|Should I) take (a lower one|less)?",
    "(unfortunately|sorry), {wrong} is above what I may do: the {noun} is limited to {limit}. "
    "(Would less do|What would you like instead)?",
)
LOWER = (
    "(then|okay, then|in that case) (make it|take) {value}(.|, please.)",
    "(fine|all right), {value} (will do|is enough)(.| too.)",
)
PRESET_RULES = (
    "(Unless the user says otherwise|If the user names none), the {noun} of {tool} is {value}.",
    "{tool}: use {value} as the {noun} (unless the user asks for another one|by default).",
    "(Always|In every call) give {tool} the {noun}: {value}, unless the user wants (another|a "
    "different) one.",
)
FLAG_RULES = (
    "(Unless the user says otherwise|By default), call {tool} with {name} set to {value}.",
    "{tool}: {name} is {value} (unless the user wants it otherwise|for all our users).",
)
FORBIDDEN_RULES = (
    "(Do not|Never) use {tool} in this chat; (our staff does that|that is done by phone|that is "
    "for employees).",
    "{tool} is (switched off|not allowed) (for now|at the moment)(:|;) tell users that they cannot "
    "have it here.",
    "You are not allowed to call {tool}, (even if the user insists|whoever asks).",
)
FORBIDDEN_REFUSALS = (
    "I'm (sorry, but|afraid) I am not allowed to {purpose} in this chat. (Is there "
    "anything else I can do?|Please ask our staff for that.)",
    "(unfortunately|sorry), (that is not possible here|I may not do that here): to {purpose} is "
    "(beyond what I am allowed|not permitted in this chat).",
)
