"""Shapes of conversation that every chat format writes, or refuses by name."""

from chat_shape_parts import (
    ACCOUNT,
    BOOKING,
    CLOCK,
    NOTE,
    SENSOR,
    TRAIN,
    WEATHER,
    call,
    calls,
    result,
    says,
    system,
    user,
)

from chat.conversation import Conversation


def first_difference(found: str, wanted: str, around: int = 80) -> str:
    """Return where two texts part, with what surrounds that place in both; empty when equal."""
    if found == wanted:
        return ""
    pairs = enumerate(zip(found, wanted, strict=False))
    place = next((i for i, (a, b) in pairs if a != b), min(len(found), len(wanted)))
    start = max(place - around, 0)
    return (
        f"the texts differ from character {place} on:\n"
        f"  found  {found[start:place]!r} | {found[place : place + around]!r}\n"
        f"  wanted {wanted[start:place]!r} | {wanted[place : place + around]!r}"
    )


WEATHER_IN_GRAZ = '{"city": "Graz", "degrees": 21.5, "sky": "clear"}'
TEXT_OF_OTHER_SCRIPTS = (
    'Straße "Überall" \\ C:\\temp\\new <b>&amp;</b> it\'s '
    "日本語 한국어 👩\u200d🚀🏽 e\u0301 a\u0323\u0307"
)
LONG_SYSTEM_TEXT = "\n\n".join(
    f"Rule {i}. Answer in plain words, name the source of each number, and when rule {i - 1} "
    f"does not apply, say so before you go on to step {i + 1}."
    for i in range(1, 25)
)

SHAPES: dict[str, Conversation] = {
    "no_tools": Conversation(
        (
            system("You are a helpful assistant."),
            user("How many legs does a beetle have?"),
            says("Six, like every insect."),
        ),
    ),
    "no_tools_no_system": Conversation(
        (user("Good morning!"), says("Good morning. What can I do for you?")),
    ),
    "multi_turn_no_tools": Conversation(
        (
            system("  You sell garden tools. Be polite.\n"),
            user(f"Do you know {TEXT_OF_OTHER_SCRIPTS}?"),
            says("No.\n\n- spades\n- rakes"),
            user("\n\tThe folding spade, please.  "),
            says("Gladly"),
            user("Thank you"),
            says("日本語 🙂"),
        ),
    ),
    "parameterless_tool": Conversation(
        (
            system("You are a helpful assistant."),
            user("What time is it?"),
            calls(call("current_time", {}, "call_1")),
            result('{"time": "14:12"}', "current_time", "call_1"),
            says("It is 14:12."),
        ),
        (CLOCK,),
    ),
    "nested_schema": Conversation(
        (
            system("You book tables."),
            user("A table at Mohr, Ring 5, for Ada and Bo. Bo is vegan."),
            calls(
                call(
                    "book_table",
                    {
                        "restaurant": {"name": "Mohr", "address": {"street": "Ring", "number": 5}},
                        "guests": [{"name": "Ada"}, {"name": "Bo", "diet": "vegan"}],
                    },
                    "call_Xk29Ab",
                )
            ),
            result('{"booked": true, "tables": [{"seats": 2}]}', "book_table", "call_Xk29Ab"),
            says("Your table for two is booked."),
        ),
        (BOOKING,),
    ),
    "enum": Conversation(
        (
            system("You know the weather."),
            user("Weather in Graz, in Fahrenheit?"),
            calls(call("get_weather", {"city": "Graz", "unit": "fahrenheit"})),
            result('{"degrees": 70}', "get_weather"),
            says("70 degrees Fahrenheit."),
        ),
        (WEATHER,),
    ),
    "unicode": Conversation(
        (
            system('Notes of "Zoë" — <strict> & polite, it\'s 日本語 👩‍🚀.'),
            user(f"Save this: {TEXT_OF_OTHER_SCRIPTS}"),
            calls(
                call(
                    "save_note",
                    {"text": TEXT_OF_OTHER_SCRIPTS + "\nsecond line\ttab", "folder": "Größe"},
                    "call_ü",
                )
            ),
            result('{"saved": "日本語 \\"Straße\\" \\\\ <b> & it\'s 🙂"}', "save_note", "call_ü"),
            says('Gespeichert: „Straße“ <b> & "日本語" \\ 🙂'),
        ),
        (NOTE,),
    ),
    "parallel_calls": Conversation(
        (
            system("You know the weather."),
            user("Weather in Graz and Linz, and the time?"),
            calls(
                call("get_weather", {"city": "Graz"}, "call_1"),
                call("get_weather", {"city": "Linz", "unit": "celsius"}, "call_2"),
                call("current_time", {}, "call_3"),
            ),
            result(WEATHER_IN_GRAZ, "get_weather", "call_1"),
            result('{"city": "Linz", "degrees": 19}', "get_weather", "call_2"),
            result('{"time": "09:30"}', "current_time", "call_3"),
            says("Graz 21.5, Linz 19 degrees, at 09:30."),
        ),
        (WEATHER, CLOCK),
    ),
    "parallel_calls_without_ids": Conversation(
        (
            user("Weather in Graz and Linz?"),
            calls(call("get_weather", {"city": "Graz"}), call("get_weather", {"city": "Linz"})),
            result(WEATHER_IN_GRAZ, "get_weather"),
            result('{"city": "Linz", "degrees": 19}', "get_weather"),
            says("Graz 21.5, Linz 19 degrees."),
        ),
        (WEATHER,),
    ),
    "results_in_another_order": Conversation(
        (
            user("Weather in Graz, and the time?"),
            calls(
                call("get_weather", {"city": "Graz"}, "call_1"), call("current_time", {}, "call_2")
            ),
            result('{"time": "09:30"}', "current_time", "call_2"),
            result(WEATHER_IN_GRAZ, "get_weather", "call_1"),
            says("21.5 degrees at 09:30."),
        ),
        (WEATHER, CLOCK),
    ),
    "consecutive_results": Conversation(
        (
            system("You find trains."),
            user("Trains from Graz to Linz, and back?"),
            calls(
                call("find_train", {"origin": "Graz", "destination": "Linz"}, "a1B2c3D4e"),
                call("find_train", {"origin": "Linz", "destination": "Graz"}, "f5G6h7J8k"),
            ),
            result('{"departs": "14:12"}', "find_train", "a1B2c3D4e"),
            result('[{"departs": "18:40"}, {"departs": "20:40"}]', "find_train", "f5G6h7J8k"),
            says("There at 14:12, back at 18:40 or 20:40."),
        ),
        (TRAIN,),
    ),
    "error_result": Conversation(
        (
            system("You find trains."),
            user("Train from Graz to Lintz?"),
            calls(call("find_train", {"origin": "Graz", "destination": "Lintz"}, "call_1")),
            result('{"error": "unknown station: Lintz"}', "find_train", "call_1"),
            calls(call("find_train", {"origin": "Graz", "destination": "Linz"}, "call_2")),
            result('{"departs": "14:12"}', "find_train", "call_2"),
            says("To Linz: 14:12."),
        ),
        (TRAIN,),
    ),
    "clarification": Conversation(
        (
            system("You find trains."),
            user("When is the next train to Linz?"),
            says("From which station do you leave?"),
            user("Graz."),
            calls(call("find_train", {"origin": "Graz", "destination": "Linz"}, "call_7")),
            result('{"departs": "14:12"}', "find_train", "call_7"),
            says("At 14:12."),
        ),
        (TRAIN,),
    ),
    "multi_turn": Conversation(
        (
            system("You know trains and the weather."),
            user("Weather in Graz?"),
            calls(call("get_weather", {"city": "Graz"}, "call_1")),
            result(WEATHER_IN_GRAZ, "get_weather", "call_1"),
            says("21.5 degrees and clear."),
            user("Thanks. And a train from there to Linz?"),
            calls(call("find_train", {"origin": "Graz", "destination": "Linz"}, "call_2")),
            result('{"departs": "14:12"}', "find_train", "call_2"),
            says("At 14:12."),
            user("How warm is it in Linz?"),
            calls(call("get_weather", {"city": "Linz"}, "call_3")),
            result('{"city": "Linz", "degrees": 19}', "get_weather", "call_3"),
            says("19 degrees."),
            user("Thank you!"),
            says("You are welcome."),
        ),
        (WEATHER, TRAIN),
    ),
    "empty_content": Conversation(
        (
            system(""),
            user(""),
            calls(call("current_time", {}, "call_1")),
            result("", "current_time", "call_1"),
            says(""),
            user("Well?"),
            says("I have no answer."),
        ),
        (CLOCK,),
    ),
    "no_system": Conversation(
        (
            user("Weather in Graz?"),
            calls(call("get_weather", {"city": "Graz"}, "call_1")),
            result(WEATHER_IN_GRAZ, "get_weather", "call_1"),
            says("21.5 degrees."),
        ),
        (WEATHER,),
    ),
    "long_system_text": Conversation(
        (
            system(LONG_SYSTEM_TEXT),
            user("Weather in Graz?"),
            calls(call("get_weather", {"city": "Graz"}, "call_1")),
            result(WEATHER_IN_GRAZ, "get_weather", "call_1"),
            says("21.5 degrees, by get_weather."),
            user("And rule 3?"),
            says("It does not apply."),
        ),
        (WEATHER,),
    ),
    "text_beside_a_call": Conversation(
        (
            system("You know the weather."),
            user("Weather in Graz?"),
            calls(call("get_weather", {"city": "Graz"}, "call_1"), content="I look it up."),
            result(WEATHER_IN_GRAZ, "get_weather", "call_1"),
            says("21.5 degrees."),
        ),
        (WEATHER,),
    ),
    "a_turn_not_to_be_learnt": Conversation(
        (
            system("You know the weather."),
            user("Weather in Graz?"),
            says("How should I know?", trained=False),
            user("By asking your tool."),
            calls(call("get_weather", {"city": "Graz"}, "call_1")),
            result(WEATHER_IN_GRAZ, "get_weather", "call_1"),
            says("21.5 degrees."),
        ),
        (WEATHER,),
    ),
    "number_of_20_digits": Conversation(
        (
            user("Balance of account 12345678901234567890?"),
            calls(call("read_account", {"number": 12345678901234567890}, "call_1")),
            result(
                '{"number": 12345678901234567890, "balance": 98765432109876543210}',
                "read_account",
                "call_1",
            ),
            says("98765432109876543210."),
        ),
        (ACCOUNT,),
    ),
    "floats_booleans_and_null": Conversation(
        (
            user("Sensor at 0.1, on, no label."),
            calls(
                call(
                    "set_sensor",
                    {
                        "threshold": 0.1,
                        "enabled": True,
                        "label": None,
                        "levels": [1.0, -2.50, 1e-7, 1e22, 0],
                    },
                    "call_1",
                )
            ),
            result('{"ok": false, "threshold": 0.10, "label": null}', "set_sensor", "call_1"),
            says("It was not accepted."),
        ),
        (SENSOR,),
    ),
    "plain_text_result": Conversation(
        (
            user("Weather in Graz?"),
            calls(call("get_weather", {"city": "Graz"}, "call_1")),
            result("Clear sky, 21.5 degrees.\nWind from the north.", "get_weather", "call_1"),
            says("Clear, 21.5 degrees."),
        ),
        (WEATHER,),
    ),
    "json_results_of_every_kind": Conversation(
        (
            user("Ask six clocks."),
            calls(*(call("current_time", {}, f"clock{i}abc") for i in range(6))),
            result('{"b": 1, "a": [1, 2.0, null]}', "current_time", "clock0abc"),
            result('["x", "é"]', "current_time", "clock1abc"),
            result('"quoted"', "current_time", "clock2abc"),
            result("12", "current_time", "clock3abc"),
            result("null", "current_time", "clock4abc"),
            result('{"a":1,\n "a":2}', "current_time", "clock5abc"),
            says("They disagree."),
        ),
        (CLOCK,),
    ),
    "white_space_around_the_system_text": Conversation(
        (
            system("\n\n  You sell garden tools.\n\nBe polite.  \n"),
            user("Do you have spades?"),
            says("Yes."),
            user("What time is it?"),
            calls(call("current_time", {}, "call_1")),
            result('{"time": "14:12"}', "current_time", "call_1"),
            says("14:12."),
        ),
        (CLOCK,),
    ),
    "white_space_around_contents": Conversation(
        (
            system("You know the time."),
            user("\n\tWhat time is it?  "),
            calls(call("current_time", {}, "call_1")),
            result('  {"time": "14:12"}\n', "current_time", "call_1"),
            says("It is 14:12."),
            user("And in Graz?"),
            calls(call("current_time", {}, "call_2")),
            result("  Also 14:12\n", "current_time", "call_2"),
            says("The same."),
            user(" Thanks\n"),
            says("Any time."),
        ),
        (CLOCK,),
    ),
    "white_space_around_replies": Conversation(
        (
            system("You know the time."),
            user("What time is it?"),
            calls(call("current_time", {}, "call_1")),
            result('{"time": "14:12"}', "current_time", "call_1"),
            says("  It is 14:12.\n\n"),
            user("Thanks"),
            says("\nAny time. "),
        ),
        (CLOCK,),
    ),
    "second_tool_never_called": Conversation(
        (
            system("You find trains."),
            user("Next train from Graz to Linz?"),
            calls(call("find_train", {"origin": "Graz", "destination": "Linz"}, "call_1")),
            result('{"departs": "14:12"}', "find_train", "call_1"),
            says("At 14:12."),
        ),
        (TRAIN, BOOKING),
    ),
    "tools_never_called": Conversation(
        (
            system("You know the weather."),
            user("Who wrote Faust?"),
            says("Goethe."),
            user("When?"),
            says("The first part appeared in 1808."),
        ),
        (WEATHER, CLOCK),
    ),
    "ends_on_a_call": Conversation(
        (
            system("You know the weather."),
            user("Hello!"),
            says("Hello."),
            user("Weather in Graz?"),
            calls(call("get_weather", {"city": "Graz"}, "call_1")),
        ),
        (WEATHER,),
    ),
    "two_turns_of_one_role": Conversation(
        (
            system("You know the weather."),
            user("Hello!"),
            user("Weather in Graz?"),
            says("One moment."),
            calls(call("get_weather", {"city": "Graz"}, "call_1")),
            result(WEATHER_IN_GRAZ, "get_weather", "call_1"),
            says("21.5 degrees."),
            says("And clear."),
        ),
        (WEATHER,),
    ),
    "a_later_system_text": Conversation(
        (
            system("You are a helpful assistant."),
            user("How many legs does a beetle have?"),
            says("Six, like every insect."),
            system("Answer in German."),
            user("And a spider?"),
            says("Acht."),
        ),
    ),
    "special_token_text": Conversation(
        (
            system("Marks: <|eot_id|> [INST] </s> <|im_end|>"),
            user("Save <|im_start|>user [/INST] <tool_call> <|end|> <|endoftext|> as it is."),
            calls(
                call("save_note", {"text": "[TOOL_CALLS] </tool_call> <|eot_id|> <s>"}, "call_1")
            ),
            result("[/TOOL_RESULTS] </tool_response> <|im_end|>", "save_note", "call_1"),
            says("Saved </s> <think> as it is."),
        ),
        (NOTE,),
    ),
}
