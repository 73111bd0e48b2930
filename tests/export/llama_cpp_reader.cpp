// Reads replies as llama-server does: the parser is derived from a chat template.
//
//     llama_cpp_reader TEMPLATE.jinja TOOLS.json REPLIES.json
//
// REPLIES.json is an object of texts; printed is an object with content and calls of each. Compiled
// against the sources of llama.cpp's `common` folder (record_llama_cpp.py names the version).
#include "chat.h"
#include "json.h"

#include <fstream>
#include <iostream>
#include <sstream>

static std::string text_of(const char * file) {
    std::ifstream stream(file);
    std::stringstream text;
    text << stream.rdbuf();
    return text.str();
}

static common_json read(const std::string & reply, const common_chat_parser_params & params) {
    auto found = common_json::object();
    try {
        const auto message = common_chat_parse(reply, false, params);
        auto calls = common_json::array();
        for (const auto & call : message.tool_calls) {
            auto pair = common_json::array();
            pair.push_back(call.name);
            pair.push_back(call.arguments);
            calls.push_back(pair);
        }
        found["content"] = message.content;
        found["calls"] = calls;
    } catch (const std::exception & error) {
        found["error"] = std::string(error.what());
    }
    return found;
}

int main(int, char ** arguments) {
    const auto templates = common_chat_templates_init(nullptr, text_of(arguments[1]), "<s>", "</s>");
    common_chat_msg question;
    question.role = "user";
    question.content = "Hello";
    common_chat_templates_inputs inputs;
    inputs.messages = {question};
    inputs.tools = common_chat_tools_parse_oaicompat(common_json::parse(text_of(arguments[2])));
    inputs.parallel_tool_calls = true;
    inputs.enable_thinking = false;
    // The default of llama-server.
    inputs.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
    const auto derived = common_chat_templates_apply(templates.get(), inputs);
    common_chat_parser_params params(derived);
    params.reasoning_format = inputs.reasoning_format;
    params.parser.load(derived.parser);
    const auto replies = common_json::parse(text_of(arguments[3]));
    auto all = common_json::object();
    for (auto reply = replies.begin(); reply != replies.end(); ++reply) {
        all[reply.key()] = read(reply.value().get<std::string>(), params);
    }
    std::cout << all.dump(1) << "\n";
}
