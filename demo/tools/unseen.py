"""Tools of fields that the demo never trains on, to see what it does with new ones."""

from synthesis.brief import amount, called, choice, clock, known, number, person, place, tool
from synthesis.declaration import Domain

DAYS = "Monday Wednesday Friday Sunday"

DOMAINS = [
    Domain(
        "gardening",
        (
            tool(
                "water_plants",
                "Water the plants of a bed.",
                "water the plants",
                choice("bed", "roses herbs carrots tulips", "in the bed of {}"),
                number("minutes", 2, 90, "for {} minutes"),
            ),
            tool(
                "order_soil",
                "Order bags of soil.",
                "order (some |)soil",
                number("bags", 2, 80, "in {} bags"),
                choice("quality", "plain rich sandy", "of {} quality"),
                gives="delivery_id:D",
            ),
            tool(
                "track_delivery",
                "Find out where a delivery is.",
                "(track|find) the delivery",
                known("delivery_id", "D", "(with (the |)number |){}"),
            ),
            tool(
                "mow_lawn",
                "Mow the lawn.",
                "(mow|cut) the lawn",
                clock("start", "(at|from) {}"),
                amount("height", 9, "to a height of {}"),
            ),
        ),
        reasons=("The garden looks dry", "Spring is here"),
    ),
    Domain(
        "library",
        (
            tool(
                "search_book",
                "Search for a book in the library.",
                "(search|look) for the book",
                called("title", "{}"),
                person("author", "by {}"),
                gives="book_id:L",
            ),
            tool(
                "borrow_book",
                "Borrow a book.",
                "borrow the book",
                known("book_id", "L", "{}"),
                number("weeks", 2, 30, "for {} weeks"),
            ),
            tool(
                "pay_fine",
                "Pay the fine of a reader.",
                "pay the fine",
                person("reader", "of {}"),
                amount("sum", 60, "of {} euros"),
            ),
            tool(
                "reserve_desk",
                "Reserve a desk in the reading room.",
                "reserve a desk",
                choice("day", DAYS, "on {}"),
                clock("hour", "at {}"),
                gives="desk:1-90",
            ),
        ),
        reasons=("I have to study", "(My sister|My brother) reads a lot"),
        similar=("museum",),
    ),
    Domain(
        "sport",
        (
            tool(
                "rent_court",
                "Rent a court.",
                "rent a court",
                choice("game", "tennis squash volleyball", "for {}"),
                choice("day", DAYS, "on {}"),
                gives="court:1-30",
            ),
            tool(
                "join_club",
                "Join a sports club.",
                "join the club",
                called("club", "{}"),
                person("member", "as {}"),
                gives="member_id:S",
            ),
            tool(
                "leave_club",
                "Leave a sports club.",
                "leave the club",
                known("member_id", "S", "as (the |)member {}"),
            ),
            tool(
                "log_run",
                "Log a run in the training diary.",
                "log a run",
                amount("kilometres", 40, "of {} kilometres"),
                number("minutes", 11, 300, "in {} minutes"),
            ),
        ),
        reasons=("I want to get fit", "We have nothing to do on the weekend"),
    ),
    Domain(
        "pets",
        (
            tool(
                "feed_pet",
                "Feed a pet.",
                "feed the pet",
                called("pet", "{}"),
                number("grams", 20, 900, "with {} grams"),
            ),
            tool(
                "visit_vet",
                "Arrange a visit to the vet.",
                "arrange a visit to the vet",
                person("vet", "{}"),
                choice("day", DAYS, "on {}"),
                gives="visit_id:V",
            ),
            tool(
                "move_visit",
                "Move a visit to another time.",
                "move the visit",
                known("visit_id", "V", "{}"),
                clock("hour", "to {}"),
            ),
            tool(
                "find_kennel",
                "Find a kennel for an animal.",
                "(find|look for) a kennel",
                choice("animal", "dog cat rabbit parrot", "for a {}"),
                place("region", "near {}"),
                gives="price:20-300",
            ),
        ),
        reasons=("The dog is not well", "(We|I) have a new pet"),
    ),
    Domain(
        "museum",
        (
            tool(
                "open_guide",
                "Open the guide of an exhibition.",
                "open the guide",
                called("exhibition", "of the exhibition {}"),
                choice("language", "English French Polish Dutch", "in {}"),
                gives="pages:4-90",
            ),
            tool(
                "join_tour",
                "Join a guided tour.",
                "join a tour",
                clock("start", "at {}"),
                number("visitors", 2, 60, "with {} visitors"),
                gives="tour_id:G",
            ),
            tool(
                "skip_tour",
                "Give back the places of a tour.",
                "(skip|give back) the tour",
                known("tour_id", "G", "{}"),
            ),
            tool(
                "find_painting",
                "Find a painting.",
                "find the painting",
                called("painting", "{}"),
                person("painter", "by {}"),
                gives="room:1-60",
            ),
        ),
        reasons=("We are in town for a day", "I like old paintings"),
        similar=("library",),
    ),
]
