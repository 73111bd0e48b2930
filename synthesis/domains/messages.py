"""Messages: contacts, e-mail, texts."""

from typing import Annotated, Any

from synthesis import pools
from synthesis.declaration import Chain, Domain, declare
from synthesis.kinds import EMAIL, Email, Kind, Person, Phone, several
from synthesis.world import code, exists, fact, pick

Body = Annotated[str, Kind("message", pools.message)]


def find_contact(name: Person) -> dict[str, Any]:
    """Find the e-mail address and the phone number of a contact.

    Args:
        name: First and last name.
    """
    if not exists("contact", name):
        raise ValueError(f"there is no contact called {name}")
    number = f"+{fact(30, 59, name)} {fact(100, 999, name, 1)} {fact(10000, 99999, name, 2)}"
    return {
        "name": name,
        "email": pools.email_of(name, pick(pools.MAIL_PROVIDERS, name)),
        "phone": number,
    }


def send_email(
    to: Email,
    subject: Annotated[str, Kind("subject", pools.event_title)],
    body: Body,
    cc: Annotated[list[str], several(EMAIL, "copies", 1, 2)] | None = None,
    urgent: bool = False,
) -> dict[str, Any]:
    """Send an e-mail.

    Args:
        to: E-mail address of the receiver.
        subject: What it is about.
        body: The text.
        cc: E-mail addresses that get a copy.
        urgent: Whether it is marked as urgent.
    """
    copies = len(cc or [])
    return {"message_id": code("MSG", to, subject), "receivers": 1 + copies, "status": "sent"}


def send_text_message(phone: Phone, text: Body) -> dict[str, Any]:
    """Send a text message to a phone.

    Args:
        phone: Phone number with its country code.
        text: What the message says.
    """
    if not exists("line", phone, 9):
        raise ValueError(f"the number {phone} is not in service")
    return {"status": "delivered", "characters": len(text)}


def search_mail(
    keyword: Annotated[str, Kind("keyword", lambda dice: dice.choice(pools.TOPICS))],
    sender: Annotated[str, Kind("sender", pools.person)] | None = None,
    unread_only: bool = False,
) -> dict[str, Any]:
    """Search the inbox and show the newest e-mail that fits.

    Args:
        keyword: A word that the e-mail holds.
        sender: Name of the person who wrote it.
        unread_only: Whether to search unread e-mails only.
    """
    about = (keyword, sender, unread_only)
    writer = sender or f"{pick(pools.FIRST_NAMES, *about)} {pick(pools.LAST_NAMES, *about)}"
    return {
        "matches": fact(1, 12, *about),
        "newest_subject": f"{keyword.capitalize()} {pick(pools.OCCASIONS, *about)}",
        "newest_sender": writer,
        "reply_to": pools.email_of(writer, pick(pools.MAIL_PROVIDERS, writer)),
    }


DOMAIN = Domain(
    "messages",
    (
        declare(
            find_contact,
            do=(
                "(look up|find|get me) the (contact details|e-mail address|phone number) of {name}",
                "(find out|tell me|check) how (to reach|I can reach) {name}",
                "(look up|find) (one of my contacts|somebody's e-mail address)",
            ),
            ask=("how (can|do) I (reach|contact) {name}",),
            answer=(
                "{name} can be reached at {email} or {phone}.",
                "The e-mail address of {name} is {email} and the phone number is {phone}.",
            ),
            more=(("what was the phone number", "the number is {phone}"),),
            slips=("name",),
        ),
        declare(
            send_email,
            do=(
                "(send|write) an [?urgent urgent ]e-mail[ to {to}] with the subject '{subject}' "
                "and the text '{body}'[, copy to {cc}]",
                "e-mail '{body}'[ to {to}], subject '{subject}'[, with {cc} in copy]"
                "[?urgent , marked as urgent]",
                "(send|write) an e-mail[ to {to}] with the subject '{subject}'"
                "[, copy to {cc}][?urgent  and mark it as urgent]",
            ),
            answer=(
                "(Your|The) e-mail '{subject}' has been sent to {to}.",
                "(I sent|I have sent) it to {to}; its number is {message_id}.",
            ),
            more=(("how many people got it", "the number of receivers is {receivers}"),),
        ),
        declare(
            send_text_message,
            do=(
                "(text|send) '{text}' to {phone}",
                "send a (text message|text|message)[ to {phone}][: '{text}']",
            ),
            answer=(
                "Your message to {phone} was {status}.",
                "(Done|Sent): '{text}' went to {phone}.",
            ),
            more=(("how long was it", "it had {characters} characters"),),
            slips=("phone",),
        ),
        declare(
            search_mail,
            do=(
                "(search|look through) my [?unread_only unread ](e-mails|inbox|mail) for "
                "'{keyword}'[, from {sender}]",
                "(find|show me) the newest [?unread_only unread ]e-mail[ from {sender}] "
                "(about|that mentions) '{keyword}'",
                "(find|look for) an [?unread_only unread ]e-mail[ from {sender}]",
            ),
            ask=(
                "(did I get|is there) an [?unread_only unread ]e-mail[ from {sender}] "
                "(about|on) '{keyword}'",
            ),
            answer=(
                "The newest is '{newest_subject}' by {newest_sender}.",
                "(I found|There are) {matches} that fit; the newest is '{newest_subject}' from "
                "{newest_sender}.",
            ),
            more=(("who wrote the newest one", "{newest_sender} wrote it"),),
        ),
    ),
    chains=(
        Chain(
            "find_contact",
            "send_email",
            {"to": "email"},
            do=(
                "(write|send) {name} an [?urgent urgent ]e-mail with the subject '{subject}' and "
                "the text '{body}'[, copy to {cc}]",
                "(look up|find) the address of {name} and send '{body}' there, subject "
                "'{subject}'[, with {cc} in copy][?urgent , as urgent]",
            ),
        ),
        Chain(
            "find_contact",
            "send_text_message",
            {"phone": "phone"},
            do=(
                "(text|send a text to) {name}: '{text}'",
                "(look up|find) the number of {name} and text (them|it) '{text}'",
            ),
        ),
        Chain(
            "search_mail",
            "send_email",
            {"to": "reply_to"},
            do=(
                "(find|look for) the newest [?unread_only unread ]e-mail[ from {sender}] about "
                "'{keyword}' and (answer|reply) with the subject '{subject}' and the text "
                "'{body}'[, copy to {cc}][?urgent , urgent]",
            ),
        ),
    ),
    similar=("work",),
    reasons=(
        "I'm (driving|cooking|between two meetings|on a train)",
        "I (promised|forgot|meant) to get in touch",
        "My (inbox|phone) is (overflowing|driving me mad)",
        "(People|They) are (waiting|asking) (for me|for news)",
        "I have (one hand|little time) (free|left)",
    ),
)
