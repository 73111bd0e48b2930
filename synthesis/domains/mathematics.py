"""Mathematics: percentages, statistics, equations, loans."""

from typing import Annotated, Any

from synthesis.declaration import Domain, declare
from synthesis.kinds import Kind, decimal, number

Numbers = Annotated[
    list[float],
    Kind("numbers", lambda dice: [dice.between(-200, 900) / 10 for _ in range(dice.between(3, 7))]),
]
Coefficient = Annotated[int, number("coefficient", -20, 20)]


def calculate_percentage(
    percent: Annotated[float, decimal("percentage", 0.5, 100)],
    base: Annotated[float, decimal("base value", 1, 9000)],
) -> dict[str, Any]:
    """Calculate what a percentage of a number is.

    Args:
        percent: The percentage.
        base: The number it is taken of.
    """
    return {"result": round(base * percent / 100, 4), "rest": round(base - base * percent / 100, 4)}


def describe_numbers(numbers: Numbers) -> dict[str, Any]:
    """Calculate the mean, the median and the range of some numbers.

    Args:
        numbers: The numbers.
    """
    ordered = sorted(numbers)
    middle = len(ordered) // 2
    return {
        "mean": round(sum(ordered) / len(ordered), 3),
        "median": round((ordered[middle] + ordered[-middle - 1]) / 2, 3),
        "smallest": ordered[0],
        "largest": ordered[-1],
    }


def solve_linear_equation(a: Coefficient, b: Coefficient, c: Coefficient) -> dict[str, Any]:
    """Solve the equation a * x + b = c for x.

    Args:
        a: Factor of x.
        b: Number added to it.
        c: Number on the right.
    """
    if a == 0:
        raise ValueError("the factor of x is 0: then x does not matter")
    return {"x": round((c - b) / a, 4), "whole": (c - b) % a == 0}


def calculate_loan(
    principal: Annotated[int, number("loan", 1000, 400000, "euro", 500)],
    yearly_rate_percent: Annotated[float, decimal("interest rate", 0.5, 15)],
    years: Annotated[int, number("number of years", 1, 35, "year")],
) -> dict[str, Any]:
    """Calculate the monthly payment of a loan.

    Args:
        principal: How much is borrowed.
        yearly_rate_percent: Interest a year in percent.
        years: How long it is paid back.
    """
    rate, growth = yearly_rate_percent / 1200, 1.0
    for _ in range(12 * years):
        growth *= 1 + rate
    payment = round(principal * rate * growth / (growth - 1), 2)
    return {"monthly_payment": payment, "total_paid": round(payment * 12 * years, 2)}


DOMAIN = Domain(
    "mathematics",
    (
        declare(
            calculate_percentage,
            do=(
                "(calculate|work out|tell me) (how much|what) {percent}% of {base} is",
                "(calculate|take|work out) {percent}% of {base}",
                "(calculate|work out) {percent}% of a number",
            ),
            ask=("(what is|how much is) {percent}% of {base}",),
            answer=("{percent}% of {base} (is|are|makes) {result}.", "That is {result}."),
            more=(("and what is left when I take it away", "what is left is {rest}"),),
        ),
        declare(
            describe_numbers,
            do=(
                "(calculate|work out) (the mean|the average|mean and median) of {numbers}",
                "(summarise|analyse|describe) (these numbers|the following values): {numbers}",
                "(calculate|work out) (the mean|mean and median) of (some numbers|my numbers)",
            ),
            ask=("what (is|are) the (average|mean) and the median of {numbers}",),
            answer=(
                "The mean is {mean} and the median {median}.",
                "On average they are {mean}, with a median of {median}.",
            ),
            more=(("which is the largest", "the largest is {largest}"),),
        ),
        declare(
            solve_linear_equation,
            do=(
                "(solve|find x in|work out) {a} * x + {b} = {c}",
                "(find|calculate) the x for which {a} times x plus {b} (is|equals) {c}",
            ),
            ask=("(for which x is|what is x when) {a} * x + {b} = {c}",),
            answer=("x (is|equals) {x}.", "The solution is x = {x}."),
            more=(("is that a whole number", "[?whole yes, it is][!whole no, it is rounded]"),),
            slips=("a",),
        ),
        declare(
            calculate_loan,
            do=(
                "(calculate|work out) (the monthly payment|what I pay every month) for a loan of "
                "{principal}[ at {yearly_rate_percent}%][ over {years}]",
                "(tell me|see) what a loan of {principal}[ at {yearly_rate_percent}% a year] "
                "costs a month[ over {years}]",
            ),
            ask=(
                "how much a month is a loan of {principal}[ at {yearly_rate_percent}%]"
                "[ over {years}]",
            ),
            answer=(
                "You pay {monthly_payment} euros a month.",
                "The monthly payment is {monthly_payment} euros; in the end you have paid "
                "{total_paid}.",
            ),
            more=(("and what do I pay in the end", "all in all you pay {total_paid} euros"),),
        ),
    ),
    reasons=(
        "I'm (checking|preparing) (my homework|an offer|a report)",
        "My (calculator|head) (is broken|has given up)",
        "It's for (a presentation|a course|my tax papers)",
        "I'm (comparing|negotiating) (prices|offers|conditions)",
        "I want to be sure (before I sign|of my numbers)",
    ),
)
