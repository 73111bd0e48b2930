#!/usr/bin/env bash
# Fine-tunes a model on LMFlow conversations: weights and data in, a merged model out.
#
# Takes the flags of LMFlow's contrib/tool-finetune/run_function_call_finetune.sh. Run it in the
# project's folder, with its environment activated. docs/recipes/lmflow.md explains every step.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: bash examples/run_function_call_finetune.sh [flags] [-- settings of finetune.py]

  -m, --model_name_or_path D           The model's directory: Hugging Face's, Meta's or a native one. Required.
  -d, --dataset_path P                 A file of LMFlow conversations, or a directory of such files. Required.
  -o, --output_model_path D            Where everything is written: base, dataset, checkpoints, logs, merged. Required.
      --conversation_template NAME     llama3_for_tool or qwen2_for_tool. Default: llama3_for_tool.
      --trust_remote_code WORD         Taken for compatibility, without effect: no code of a model is ever run.
      --use_lora 0|1                   1 trains an adapter, 0 all weights with ZeRO-3. Default: 1.
      --deepspeed_args TEXT            Flags of the launcher, such as "--num_gpus=8": train with DeepSpeed.
      --validation_split_percentage N  The share of conversations that validate, 1 to 99. Default: 5.
  -h, --help                           Show this.

What follows -- goes to the training, such as: -- --training.epochs=2 --resume
TEXT
}

fail() {
  echo "error: $1" >&2
  exit "${2:-1}"
}

run() {
  printf '+'
  printf ' %q' "$@"
  printf '\n'
  "$@"
}

model="" dataset="" output="" template=llama3_for_tool use_lora=1 launcher="" percentage=5
settings=()
while (($#)); do
  flag="${1%%=*}"
  case "$flag" in
    --) settings=("${@:2}"); break ;;
    -h | --help) usage; exit 0 ;;
    --*) flag="--$(tr - _ <<<"${flag#--}")" ;;
  esac
  if [[ "$1" == --*=* ]]; then
    value="${1#*=}"
    shift
  else
    (($# > 1)) || fail "$1 wants a value; see: bash $0 --help" 2
    value="$2"
    shift 2
  fi
  case "$flag" in
    -m | --model_name_or_path) model="$value" ;;
    -d | --dataset_path) dataset="$value" ;;
    -o | --output_model_path) output="$value" ;;
    --conversation_template) template="$value" ;;
    --use_lora) use_lora="$value" ;;
    --deepspeed_args) launcher="$value" ;;
    --validation_split_percentage) percentage="$value" ;;
    --trust_remote_code)
      [[ "$value" =~ ^([Tt]rue|[Ff]alse|0|1)$ ]] || fail "$flag is $value, wanted True or False" 2
      ;;
    *) fail "unknown flag $flag; see: bash $0 --help" 2 ;;
  esac
done

[[ -n "$model" ]] || fail "missing --model_name_or_path; see: bash $0 --help" 2
[[ -n "$dataset" ]] || fail "missing --dataset_path; see: bash $0 --help" 2
[[ -n "$output" ]] || fail "missing --output_model_path; see: bash $0 --help" 2
[[ "$template" =~ ^(llama3|qwen2)_for_tool$ ]] ||
  fail "--conversation_template is $template, wanted llama3_for_tool or qwen2_for_tool" 2
[[ "$use_lora" =~ ^[01]$ ]] || fail "--use_lora is $use_lora, wanted 0 or 1" 2
[[ "$percentage" =~ ^[1-9][0-9]?$ ]] ||
  fail "--validation_split_percentage is $percentage, wanted a whole number from 1 to 99" 2
[[ -d "$model" ]] ||
  fail "$model is no directory; download the model there first, nothing is downloaded here"

base="$output/base"
if [[ -f "$model/consolidated.safetensors" && -f "$model/params.json" ]]; then
  base="$model"
elif [[ -f "$model/config.json" ]]; then
  run python scripts/convert_from_hf_weights.py --hf-dir "$model" --output-dir "$base"
elif [[ -f "$model/consolidated.00.pth" ]]; then
  run python scripts/convert_from_meta_weights.py --llama3-dir "$model" --output-dir "$base"
else
  fail "$model holds no weights; wanted config.json with safetensors, or consolidated.00.pth"
fi

mkdir -p "$output"
run python scripts/clean_dataset.py --source-file "$dataset" --format lmflow \
  --save-file "$output/conversations.jsonl"
run python scripts/build_dataset.py --source-file "$output/conversations.jsonl" \
  --tokenizer-file "$base" --save-dir "$output/dataset" --chat-format "$template" \
  --val-ratio "$(printf '0.%02d' "$percentage")" --skip-overlong

flags=(--name=function_call "--model.checkpoint_dir=$base" "--data.dataset_dir=$output/dataset"
  "--checkpoint.output_dir=$output/checkpoints" "--logging.output_dir=$output/logs")
config=configs/lmflow_tools.json
[[ "$use_lora" == 1 ]] || config=configs/ds_full_zero3.json
if [[ -n "$launcher" || "$use_lora" == 0 ]]; then
  # Flags of the launcher are several words.
  # shellcheck disable=SC2086
  run deepspeed $launcher ds_finetune.py --config-file "$config" "${flags[@]}" "${settings[@]}"
else
  run python finetune.py --config-file "$config" "${flags[@]}" "${settings[@]}"
fi

best="$output/checkpoints/function_call/best"
if [[ "$use_lora" == 1 ]]; then
  run python scripts/convert_lora_weights.py --base-ckpt-path "$base" --lora-ckpt-path "$best" \
    --output-dir "$output/merged"
  best="$output/merged"
fi
printf '\nThe model is in %s\n' "$best"
