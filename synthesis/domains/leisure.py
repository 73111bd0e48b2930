"""Leisure: music, books and films."""

from typing import Annotated, Any, Literal

from synthesis import pools
from synthesis.declaration import Chain, Domain, Instead, declare
from synthesis.kinds import Kind, identifier, number, several
from synthesis.world import exists, fact, pick

WORK = Kind("title", pools.work_title)
Edition = Annotated[
    Literal["print", "large_print", "audio", "electronic"],
    Instead(("stone tablet", "papyrus", "microfilm")),
]
BookId = Annotated[str, identifier("book number", "BK")]


def create_playlist(
    name: Annotated[str, Kind("playlist's name", pools.work_title)],
    songs: Annotated[list[str], several(WORK, "songs", 2, 4)],
    shuffle: bool = False,
) -> dict[str, Any]:
    """Create a playlist of songs.

    Args:
        name: What the playlist is called.
        songs: Titles of the songs.
        shuffle: Whether it is played in random order.
    """
    minutes = sum(fact(2, 6, "song", song) for song in songs)
    return {"playlist": name, "song_count": len(songs), "minutes": minutes}


def play_song(
    title: Annotated[str, WORK],
    volume: Annotated[int, number("volume", 1, 10)] | None = None,
) -> dict[str, Any]:
    """Play a song.

    Args:
        title: Title of the song.
        volume: How loud, from 1 to 10.
    """
    if not exists("song", title):
        raise ValueError(f"there is no song called {title!r}")
    artist = f"{pick(pools.FIRST_NAMES, title)} {pick(pools.LAST_NAMES, title)}"
    return {"playing": title, "artist": artist, "seconds": fact(120, 360, title)}


def find_book(
    title: Annotated[str, WORK], edition: Edition = "print", available_only: bool = False
) -> dict[str, Any]:
    """Find a book in the library.

    Args:
        title: Title of the book.
        edition: Which edition of it.
        available_only: Whether to leave out books that are lent to others.
    """
    if not exists("book", title):
        raise ValueError(f"the library has no book called {title!r}")
    author = f"{pick(pools.FIRST_NAMES, 'book', title)} {pick(pools.LAST_NAMES, title)}"
    number = f"BK-{fact(10000, 99999, title, edition)}"
    return {"book_id": number, "author": author, "copies": fact(1, 7, title, available_only)}


def reserve_book(
    book_id: BookId, pickup_branch: Literal["central", "north", "riverside"] = "central"
) -> dict[str, Any]:
    """Reserve a book in the library.

    Args:
        book_id: Number of the book, as BK-12345.
        pickup_branch: The branch where it is fetched.
    """
    if not exists("copy", book_id):
        raise ValueError(f"all copies of {book_id} are reserved")
    return {"ready_in_days": fact(2, 14, book_id), "shelf": f"{pick('ABCDEF', book_id)}"}


def get_film_times(
    film: Annotated[str, Kind("film", pools.work_title)],
    seats: Annotated[int, number("number of seats", 1, 10, "seat")] = 1,
) -> dict[str, Any]:
    """Tell when the cinema shows a film today and what the seats cost.

    Args:
        film: Title of the film.
        seats: How many seats are wanted.
    """
    times = [
        f"{hour + fact(0, 1, film, hour)}:{pick(('00', '20', '45'), film)}" for hour in (15, 19)
    ]
    return {"times": times, "price": fact(6, 14, film) * seats, "hall": fact(1, 9, film)}


DOMAIN = Domain(
    "leisure",
    (
        declare(
            create_playlist,
            do=(
                "(create|make|set up) a playlist[?shuffle  in random order] called '{name}' "
                "(with|of) {songs}",
                "(make|put together) a [?shuffle shuffled ]playlist '{name}'[: {songs}]",
            ),
            answer=(
                "The playlist '{playlist}' (holds|has) {song_count} songs.",
                "'{playlist}' is ready: {song_count} songs, {minutes} minutes.",
            ),
            more=(("how long is it", "it lasts {minutes} minutes"),),
        ),
        declare(
            play_song,
            do=(
                "(play|put on|start) (the song |)'{title}'[ at volume {volume}]",
                "let me hear '{title}'[, volume {volume}]",
                "(play|put on) (a song|some music)[ at volume {volume}]",
            ),
            answer=("(Now playing|Here is) '{playing}' by {artist}.", "'{playing}' is on."),
            more=(
                ("who is it by", "it is by {artist}"),
                ("how long is the song", "it is {seconds} seconds long"),
            ),
            slips=("title",),
        ),
        declare(
            find_book,
            do=(
                "(find|look up|search for) the [?available_only available ]book '{title}'"
                "[ in the {edition} edition]( in the library|)",
                "(check|see) (whether|if) the library has '{title}'[ in the {edition} edition]"
                "[?available_only , and not lent out]",
                "(find|search for) a[?available_only n available] book (in|for me in) the library"
                "[ in the {edition} edition]",
            ),
            ask=(
                "does the library have '{title}'[ in the {edition} edition]"
                "[?available_only  on its shelves]",
            ),
            answer=(
                "(The library has|I found) '{title}' by {author}, number {book_id}.",
                "'{title}' by {author} is there; copies: {copies}.",
            ),
            more=(
                ("who wrote it", "{author} wrote it"),
                ("how many copies are there", "the number of copies is {copies}"),
            ),
            slips=("title",),
        ),
        declare(
            reserve_book,
            do=(
                "reserve the book {book_id}[ (at|for) the {pickup_branch} branch]",
                "(put me down for|hold) (the book |){book_id}[, pickup at the {pickup_branch} "
                "branch]",
                "reserve (a|that) book[ at the {pickup_branch} branch]",
            ),
            answer=(
                "{book_id} is reserved and will be ready in {ready_in_days} days.",
                "(Reserved|Done): you find it on shelf {shelf} in {ready_in_days} days.",
            ),
            more=(("which shelf will it be on", "it will be on shelf {shelf}"),),
            slips=("book_id",),
        ),
        declare(
            get_film_times,
            do=(
                "(find out|tell me|check) when '{film}' is (on|shown)( today|)[, I want {seats}]",
                "(look up|get) the showings of '{film}'[ and the price of {seats}]",
                "(look up|check) the (cinema|film) times[ and the price of {seats}]",
            ),
            ask=("when (can I see|does the cinema show) '{film}'[ with {seats}]",),
            answer=(
                "'{film}' starts at {times}; you pay {price} euros.",
                "There are showings at {times} in hall {hall}, {price} euros in all.",
            ),
            more=(("which hall is it in", "it is in hall {hall}"),),
        ),
    ),
    chains=(
        Chain(
            "find_book",
            "reserve_book",
            {"book_id": "book_id"},
            do=(
                "(find|look up) [?available_only the available book ]'{title}'"
                "[ in the {edition} edition] and reserve it[ at the {pickup_branch} branch]",
                "reserve '{title}'[ in the {edition} edition][ at the {pickup_branch} branch]"
                "[?available_only , if it is not lent out], (you can look up its number|I don't "
                "know its number)",
            ),
        ),
    ),
    reasons=(
        "(I have|We have) (a free evening|the weekend off|nothing to do)",
        "I'm (bored|relaxing|on holiday)",
        "A (friend|colleague|reviewer) (recommended it|told me about it)",
        "It's raining (again|all day)",
        "The (children|kids) are (asleep|out|with their grandparents)",
    ),
)
