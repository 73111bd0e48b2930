"""Shopping: products, the cart, vouchers."""

from typing import Annotated, Any, Literal

from synthesis import pools
from synthesis.declaration import Chain, Domain, Instead, declare
from synthesis.kinds import Kind, identifier, number
from synthesis.world import code, exists, fact, pick

Category = Annotated[
    Literal["kitchen", "furniture", "garden", "sports", "office", "clothing", "toys"],
    Instead(("groceries", "cars", "jewellery", "boats")),
]
ProductId = Annotated[str, identifier("product number", "PR")]


def search_products(
    category: Category,
    max_price: Annotated[int, number("highest price", 10, 500, "euro", 5)] | None = None,
    in_stock_only: bool = False,
) -> dict[str, Any]:
    """Search the shop for the best-rated product of a category.

    Args:
        category: Department of the shop.
        max_price: The most it may cost, in euros.
        in_stock_only: Whether to leave out what is sold out.
    """
    about = (category, max_price, in_stock_only)
    words = (pick(pools.ADJECTIVES, *about), pick(pools.MATERIALS, *about))
    item = pick(pools.ITEMS_BY_CATEGORY[category], *about).replace("-", " ")
    return {
        "product_id": code("PR", *about),
        "name": f"{words[0]} {words[1]} {item}".title(),
        "price": fact(500, (max_price or 400) * 100, *about) / 100,
        "rating": fact(30, 50, "rating", *about) / 10,
    }


def get_product(name: Annotated[str, Kind("product", pools.product)]) -> dict[str, Any]:
    """Look up the number, the price and the stock of a product.

    Args:
        name: Full name of the product.
    """
    if not exists("product", name):
        raise ValueError(f"the shop has no product called {name!r}")
    price = fact(500, 40000, "price", name) / 100
    return {"product_id": code("PR", name), "price": price, "in_stock": fact(0, 60, name)}


def add_to_cart(
    product_id: ProductId,
    quantity: Annotated[int, number("quantity", 2, 20)] = 1,
    gift_wrap: bool = False,
) -> dict[str, Any]:
    """Put a product into the shopping cart.

    Args:
        product_id: Number of the product, as PR-12345.
        quantity: How many of it.
        gift_wrap: Whether it is wrapped as a present.
    """
    left = fact(5, 40, "stock", product_id)
    if quantity > left:
        raise ValueError(f"only {left} of {product_id} are left, {quantity} were asked for")
    return {"cart_items": fact(1, 6, "cart", product_id) + quantity, "status": "added"}


def view_cart() -> dict[str, Any]:
    """Show what is in the shopping cart and what it costs."""
    return {"items": ["oak shelf", "steel kettle", "wool scarf"], "total": 143.7, "shipping": 4.9}


def apply_voucher(
    voucher: Annotated[str, identifier("voucher code", "SAVE", 4)],
) -> dict[str, Any]:
    """Apply a voucher to the shopping cart.

    Args:
        voucher: Code of the voucher, as SAVE-1234.
    """
    if not exists("voucher", voucher):
        raise ValueError(f"the voucher {voucher} has expired")
    percent = 5 * fact(1, 6, voucher)
    return {"discount_percent": percent, "new_total": round(143.7 * (100 - percent) / 100, 2)}


DOMAIN = Domain(
    "shopping",
    (
        declare(
            search_products,
            do=(
                "(find|search for|show me) the best {category} product"
                "[ for (up to|at most) {max_price}][?in_stock_only  that is in stock]",
                "(recommend|look for) something from the {category} department"
                "[ under {max_price}][?in_stock_only , only what is available]",
                "(recommend|find|suggest) (something|something nice|something good) in the shop"
                "[ for at most {max_price}][?in_stock_only  that is in stock]",
            ),
            ask=(
                "what is the best thing in the {category} department[ for up to {max_price}]"
                "[?in_stock_only  that you have in stock]",
            ),
            answer=(
                "(I found|The best is) the {name} for {price} euros.",
                "The {name}, number {product_id}, costs {price} euros and is rated {rating} "
                "out of 5.",
            ),
            more=(("how is it rated", "it is rated {rating} out of 5"),),
        ),
        declare(
            get_product,
            do=(
                "(look up|check) the (price|price and stock) of the {name}",
                "(find|get me) (the details|the product number) of the {name}",
                "(look up|check) the price of (a product|something)",
            ),
            ask=("(what does the {name} cost|how much is the {name})",),
            answer=(
                "The {name} costs {price} euros[?in_stock ; {in_stock} are in stock].",
                "The {name} has the number {product_id} and costs {price} euros.",
            ),
            more=(
                ("how many are there in stock", "the number in stock is {in_stock}"),
                ("what is its number", "its product number is {product_id}"),
            ),
            slips=("name",),
        ),
        declare(
            add_to_cart,
            do=(
                "(put|add) [{quantity} of ]{product_id} (in|into|to) (my|the) cart"
                "[?gift_wrap , gift-wrapped]",
                "(add|put) the product {product_id} to my (cart|basket)[, {quantity} pieces]"
                "[?gift_wrap  and wrap it as a gift]",
                "(put|add) (a product|something) (in|into) my cart[?gift_wrap , gift-wrapped]",
            ),
            answer=(
                "{product_id} is in your cart[?gift_wrap , gift-wrapped]; things in it: "
                "{cart_items}.",
                "(Done|Added): your cart now holds {cart_items} things.",
            ),
            more=(("how many things are in the cart now", "there are {cart_items}"),),
            slips=("quantity",),
        ),
        declare(
            view_cart,
            do=(
                "(show me|list|read out) (my cart|my basket|what is in my cart)",
                "(check|look at) (my shopping cart|what I have in my cart)",
            ),
            ask=("what is in my (cart|basket)", "what does my (cart|basket) come to"),
            answer=(
                "Your cart holds {items}, {total} euros in all.",
                "There are {items} in it for {total} euros plus {shipping} for shipping.",
            ),
            more=(("what is the shipping", "shipping is {shipping} euros"),),
        ),
        declare(
            apply_voucher,
            do=(
                "(apply|use|redeem) the voucher {voucher}",
                "(take|redeem) {voucher} (off|for) my cart",
                "(apply|use|redeem) (a|my) voucher",
            ),
            answer=(
                "{voucher} takes {discount_percent}% off; your new total is {new_total} euros.",
                "(Applied|It works): {discount_percent}% less, {new_total} euros to pay.",
            ),
            more=(("how much do I save", "you save {discount_percent}%"),),
            slips=("voucher",),
        ),
    ),
    chains=(
        Chain(
            "get_product",
            "add_to_cart",
            {"product_id": "product_id"},
            do=(
                "(look up|find) the {name} and put [{quantity} of ](it|them) in(to|) my cart"
                "[?gift_wrap , wrapped as a gift]",
                "(add|put) [{quantity} of ]the {name} (to|into) my cart[?gift_wrap  gift-wrapped]",
            ),
        ),
        Chain(
            "search_products",
            "add_to_cart",
            {"product_id": "product_id"},
            do=(
                "find the best {category} product[ for up to {max_price}]"
                "[?in_stock_only  in stock] and (add it to|put it into) my cart"
                "[, {quantity} pieces]"
                "[?gift_wrap , gift-wrapped]",
            ),
        ),
    ),
    reasons=(
        "I'm (furnishing|redecorating|clearing out) (my flat|our house|the office)",
        "I need a (present|gift) for (my niece|a colleague|an old friend)",
        "I have (a little money|some money|birthday money) to spend",
        "My (old one|last one) (broke|wore out|got lost)",
        "There is a sale (on|today|this week)",
    ),
)
