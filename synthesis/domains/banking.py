"""Banking: accounts, transfers, cards, exchange."""

from typing import Annotated, Any, Literal

from synthesis import pools
from synthesis.declaration import Chain, Domain, Instead, declare
from synthesis.dice import Dice
from synthesis.kinds import Kind, Person, decimal, number
from synthesis.world import code, exists, fact, pick

Account = Annotated[
    Literal["checking", "savings", "business"], Instead(("pension", "crypto", "brokerage"))
]
Currency = Annotated[
    Literal["EUR", "USD", "GBP", "JPY", "CHF", "SEK"], Instead(("bitcoin", "gold", "doubloons"))
]
Amount = Annotated[float, decimal("amount", 0.01, 20000, 2)]
# How many units of a currency one euro buys, in this world.
RATES = {"EUR": 1.0, "USD": 1.1, "GBP": 0.85, "JPY": 160.0, "CHF": 0.95, "SEK": 11.5}


def _card(dice: Dice) -> str:
    return f"{dice.between(0, 9999):04}"


Card = Annotated[
    str,
    Kind(
        "card's last four digits",
        _card,
        schema={"pattern": "^[0-9]{4}$"},
        wrong=lambda dice: _card(dice)[:3],
        rule="(I need exactly|it takes) the four digits at the end of the card number",
    ),
]
Iban = Annotated[
    str,
    Kind(
        "account number",
        lambda dice: f"XX{dice.between(10, 99)}{dice.between(10**7, 10**8 - 1)}",
        schema={"pattern": "^XX[0-9]{10}$"},
        wrong=lambda dice: f"XX{dice.between(100, 9999)}",
        rule="(an account number has|account numbers have) ten digits after XX",
    ),
]


def get_balance(account: Account) -> dict[str, Any]:
    """Get the balance of one of the user's accounts in euros.

    Args:
        account: Which of the accounts.
    """
    return {"account": account, "balance": fact(10000, 900000, "balance", account) / 100}


def transfer_money(
    to_account: Iban,
    amount: Amount,
    currency: Currency = "EUR",
    reference: Annotated[str, Kind("reference", pools.event_title)] | None = None,
) -> dict[str, Any]:
    """Transfer money from the checking account to another account.

    Args:
        to_account: Number of the receiving account.
        amount: How much to transfer.
        currency: Currency of the amount.
        reference: Text that the receiver sees.
    """
    if amount > 15000:
        raise ValueError(f"the amount {amount} is above the limit of 15000 for one transfer")
    fee = 0.0 if currency == "EUR" else 2.5
    return {"transfer_id": code("TX", to_account, amount), "fee": fee, "status": "sent"}


def find_payee(name: Person) -> dict[str, Any]:
    """Find the account number of somebody the user has paid before.

    Args:
        name: First and last name of the receiver.
    """
    if not exists("payee", name):
        raise ValueError(f"you have never paid anybody called {name}")
    return {
        "name": name,
        "to_account": f"XX{fact(10**9, 9999999999, 'account', name)}",
        "last_paid": fact(5, 800, "paid", name),
    }


def block_card(
    last_four: Card, reason: Literal["lost", "stolen", "damaged"] = "lost"
) -> dict[str, Any]:
    """Block a payment card so that nobody can use it.

    Args:
        last_four: The last four digits of the card number.
        reason: What happened to the card.
    """
    if not exists("card", last_four):
        raise ValueError(f"none of your cards ends in {last_four}")
    return {"blocked": True, "new_card_in_days": fact(2, 9, "card", last_four)}


def convert_currency(
    amount: Amount, source_currency: Currency, target_currency: Currency
) -> dict[str, Any]:
    """Convert an amount of money from one currency to another.

    Args:
        amount: How much to convert.
        source_currency: Currency of the amount.
        target_currency: Currency that is wanted.
    """
    if source_currency == target_currency:
        raise ValueError(f"source_currency and target_currency are both {source_currency}")
    rate = round(RATES[target_currency] / RATES[source_currency], 6)
    return {"converted": round(amount * rate, 2), "rate": rate}


def list_transactions(
    account: Account, limit: Annotated[int, number("number of entries", 1, 20)] = 5
) -> dict[str, Any]:
    """List the latest transactions of an account in euros, newest first.

    Args:
        account: Which of the accounts.
        limit: How many to list at most.
    """
    amounts = [-fact(100, 9000, "spent", account, place) / 100 for place in range(limit)]
    shop = pick(("Corner Bakery", "City Rail", "Green Grocer"), account, limit)
    return {"amounts": amounts, "largest": min(amounts), "latest_payee": shop}


DOMAIN = Domain(
    "banking",
    (
        declare(
            get_balance,
            do=(
                "(check|look up|tell me|show me) the balance of my {account} account",
                "(tell me|see|find out) how much (money |)(is left in|is on|I have in) my "
                "{account} account",
                "(check|look up|tell me) (my balance|how much money I have left)",
            ),
            ask=(
                "how much (money |)(do I have|is left) (in|on) my {account} account",
                "what is the balance of my {account} account",
            ),
            answer=(
                "Your {account} account holds {balance} euros.",
                "There (are|is a balance of) {balance} euros in your {account} account.",
            ),
        ),
        declare(
            transfer_money,
            do=(
                "(transfer|send|wire) {amount}[ {currency}][ to (the account |){to_account}]"
                "[ with the reference '{reference}']",
                "(make|set up) a transfer[ to {to_account}] (of|over) {amount}[ {currency}]"
                "[, reference '{reference}']",
                "(transfer|send|wire) money[ to (the account |){to_account}]"
                "[ with the reference '{reference}']",
            ),
            answer=(
                "(I've sent|I have transferred) {amount} {currency} to {to_account}.",
                "The transfer of {amount} {currency} to {to_account} is {status}; its number is "
                "{transfer_id}.",
            ),
            more=(
                ("was there a fee", "the fee was {fee} euros"),
                ("what is the number of the transfer", "its number is {transfer_id}"),
            ),
            slips=("amount",),
        ),
        declare(
            find_payee,
            do=(
                "(find|look up|get me) the account number of {name}",
                "(check|see) which account {name} (uses|has)",
                "(find|look up) (an account number|somebody I have paid before)",
            ),
            ask=("what is the account number of {name}",),
            answer=(
                "{name} has the account {to_account}.",
                "The account number of {name} is {to_account}.",
            ),
            more=(("how much did I pay the last time", "the last time it was {last_paid} euros"),),
            slips=("name",),
        ),
        declare(
            block_card,
            do=(
                "block my card[ ending in {last_four}][, it (was|got|is) {reason}]",
                "(freeze|lock|block) the card[ with {last_four} at the end][ because it "
                "(was|is) {reason}]",
            ),
            answer=(
                "The card ending in {last_four} is blocked.",
                "(Done|It is blocked). A new card will (reach you|arrive) in "
                "{new_card_in_days} days.",
            ),
            more=(("when does the new card come", "it comes in {new_card_in_days} days"),),
            slips=("last_four",),
        ),
        declare(
            convert_currency,
            do=(
                "(convert|change) {amount} {source_currency} (to|into) {target_currency}",
                "(work out|calculate|tell me) how much {amount} {source_currency} "
                "(is|are|makes) in {target_currency}",
                "(convert|change) {amount} {source_currency}",
                "(convert|change) some {source_currency} (to|into) {target_currency}",
            ),
            ask=("(how much is|what is|what are) {amount} {source_currency} in {target_currency}",),
            answer=(
                "{amount} {source_currency} (are|is|come to) {converted} {target_currency}.",
                "That (makes|is) {converted} {target_currency} at a rate of {rate}.",
            ),
            more=(("which rate is that", "the rate is {rate}"),),
        ),
        declare(
            list_transactions,
            do=(
                "(list|show me|read me) the (latest|last) [{limit} ](transactions|payments) "
                "(of|on) my {account} account",
                "(check|see) what (was spent|happened) lately on my {account} account"
                "[, at most {limit} entries]",
            ),
            answer=(
                "The latest amounts on your {account} account are {amounts} euros.",
                "(Here they are|The newest first), in euros: {amounts}. The largest payment was "
                "{largest}.",
            ),
            more=(("which was the largest", "the largest was {largest} euros"),),
        ),
    ),
    chains=(
        Chain(
            "find_payee",
            "transfer_money",
            {"to_account": "to_account"},
            do=(
                "(send|transfer|wire) {amount}[ {currency}] to {name}[ with the reference "
                "'{reference}'], (I've paid them before|you can look up the account)",
                "(look up|find) the account of {name} and (send|transfer) {amount}[ {currency}] "
                "(there|to it)[, reference '{reference}']",
            ),
        ),
    ),
    similar=("units",),
    reasons=(
        "I'm (doing my accounts|going through my finances|paying my bills)",
        "(Rent|The electricity bill|My tax) is due (soon|this week)",
        "I want to (save|budget|spend less) (this month|this year)",
        "My (bank app|phone|computer) (is not working|keeps crashing)",
        "It's (about money|about my finances|a banking matter)",
    ),
)
