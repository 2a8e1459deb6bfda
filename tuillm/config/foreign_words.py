"""Words of other programs, and ours for them: nanoGPT, Hugging Face, ollama, llama.cpp, PyTorch.

Data alone, in one place for options, TOML keys, keyword arguments, `/set`, verbs and attributes;
`suggestions` says which of ours is meant where. Keys are in small letters with underscores. A word
may have ours and a reason: the reason holds where ours is not to be had. The words of a row mean
the same, and a word may stand in several rows.
"""

# a row is a line or two, however its words are joined
# fmt: off
# Ours are names of settings, and of the commands' other options and arguments (`model` is the
# argument that names one); those that a context has hold there.
OURS = {
    # how long, how often, how fast
    "lr max_lr peak_lr base_lr initial_lr rate": "learning_rate",
    "num_epochs n_epochs num_train_epochs max_epochs epoch": "epochs",
    "steps step num_steps n_steps total_steps train_steps max_iters iters num_iters iterations "
    "num_iterations max_iter n_iters train_iters": "max_steps",
    "time max_time duration hours seconds time_limit max_minutes": "minutes",
    "bs batch per_device_train_batch_size train_batch_size micro_batch_size device_batch_size "
    "batchsize minibatch b": "batch_size",
    "gradient_accumulation_steps grad_accum accumulate accumulation_steps gradient_accumulation "
    "accumulate_grad_batches grad_acc_steps": "grad_accum_steps",
    "wd decay l2": "weight_decay",
    "clip max_grad_norm gradient_clip gradient_clip_val clip_grad clip_grad_norm max_norm":
        "grad_clip",
    "warmup_iters warmup warmup_ratio num_warmup_steps warmup_tokens lr_warmup_steps":
        "warmup_steps",
    "lr_scheduler lr_scheduler_type scheduler lr_schedule lr_decay_style decay_lr": "schedule",
    "optim optimiser optimizer_name adam adamw muon sgd": "optimizer",
    "adam_beta1 b1 momentum": "beta1",
    "adam_beta2 b2": "beta2",
    "eval_steps eval_every eval_freq evaluation_strategy eval_strategy val_interval evaluate_every "
    "val_check_interval test_interval": "eval_interval",
    "early_stopping early_stopping_patience early_stop": "patience",
    "gradient_checkpointing activation_checkpointing checkpoint_activations":
        "grad_checkpoint",
    "data_seed random_seed random_state manual_seed s": "seed",
    "final_lr lr_min end_lr eta_min": "min_lr",
    # the shape
    "layers num_layers n_layers depth num_hidden_layers n_blocks num_blocks block_count": "n_layer",
    "heads num_heads n_heads num_attention_heads nhead head_count": "n_head",
    "dim d_model hidden_size width embed_dim emb_dim n_embed n_emb embedding_size embedding_dim "
    "hidden_dim embd embedding_length": "n_embd",
    "context context_length context_size context_window ctx ctx_len seq_len sequence_length "
    "max_seq_len max_seq_length seq_length n_positions max_position_embeddings block n_ctx num_ctx "
    "ctx_size window model_max_length": "block_size context",
    "max_length": "block_size",
    "attn_pdrop embd_pdrop resid_pdrop attention_dropout hidden_dropout_prob dropout_rate "
    "dropout_prob drop_rate dropout_p": "dropout",
    "vocab n_vocab vocabulary vocab_length": "vocab_size",
    "tie_word_embeddings weight_tying tied_embeddings tie_embeddings": "tie_weights",
    "tokenizer_name tokenizer_type tokenizer_path": "tokenizer",
    "architecture model_type": "arch",
    "size model_size config_name recipe": "preset",
    # what is read and where it goes
    "dataset data data_dir data_path dataset_name dataset_path train_file train_data train_path "
    "corpus_path training_data book books": "corpus",
    "text input input_file file files source f": "corpus prompt",
    "start prompt_file initial_text prefix": "prompt",
    "val_split validation_split validation_split_percentage eval_split test_split test_size "
    "val_ratio valid_fraction holdout train_split split": "val_fraction",
    "out_dir output_dir output out save_dir model_dir save save_path model_out run_name "
    "output_name wandb_run_name output_file o destination": "name",
    "overwrite_output_dir overwrite force exist_ok": "replace",
    "model model_name model_name_or_path pretrained_model_name_or_path model_id model_path "
    "base_model pretrained pretrained_model checkpoint ckpt ckpt_path parent m": "model init_from",
    "cfg config_path yaml json_config conf config c": "config_file",
    "background daemon nohup bg": "detach",
    "dry_run estimate plan": "forecast",
    "peft use_peft use_lora adapter": "lora",
    "lora_r r rank": "lora_rank",
    "alpha": "lora_alpha",
    "target_modules lora_target_modules lora_target": "lora_targets",
    # where and how precisely
    "gpu gpus cuda cpu mps accelerator devices main_gpu num_gpu n_gpu_layers gpu_layers ngl "
    "device_map no_cuda use_cpu tensor_split n_gpu": "device",
    "fp16 bf16 tf32 fp32 half amp float16 bfloat16 float32 precision mixed_precision torch_dtype "
    "load_in_8bit load_in_4bit quantize quantization quant bits int8 int4 q8_0 q4_0 outtype "
    "data_type": "dtype",
    "torch_compile jit use_compile no_compile compile_model": "compile",
    # how a reply is drawn
    "temp": "temperature",
    "topk": "top_k",
    "topp nucleus": "top_p",
    "minp": "min_p",
    "repeat_penalty rep_pen penalty repetition frequency_penalty presence_penalty "
    "no_repeat_ngram_size": "repetition_penalty",
    "max_tokens num_predict n_predict predict max_length max_output_tokens max_completion_tokens "
    "max_gen_len length tokens n_tokens num_tokens gen_tokens max_new": "max_new_tokens",
    "samples n_samples num_return_sequences best_of num_completions count n": "num_samples",
    "stop_sequences stop_sequence stop_words stop_strings stop_string reverse_prompt "
    "stopping_criteria eos until r": "stop",
    "keep num_keep": "n_keep",
    "token_healing": "heal",
    "verbose verbosity timings show_timings v": "stats",
    "format response_format output_format": "as_json",
    "no_display_prompt return_full_text display_prompt": "echo",
    "nohistory history": "no_history",
    "resume_session": "go_on",
    "by_step overlap": "stride",
}

# why something is not to be had, and what there is instead
NOT_HERE = {
    "eval_iters eval_batches limit_val_batches per_device_eval_batch_size eval_batch_size "
    "val_max_steps": "evaluations always look at the same held-out tokens",
    "eval_only do_eval do_predict": "tuillm eval MODEL TEXT measures a model",
    "do_train": "tuillm train always trains",
    "always_save_checkpoint save_steps save_strategy save_total_limit save_every save_interval "
    "checkpoint_interval save_freq load_best_model_at_end metric_for_best_model save_only_model "
    "checkpoint_every":
        "every run keeps its last and its best checkpoint by itself",
    "resume resume_from resume_from_checkpoint continue_training load_checkpoint":
        "tuillm runs resume ID takes a run up again",
    "log_interval logging_steps logging_strategy log_every log_freq log_every_n_steps":
        "every step is written to the run's metrics.jsonl",
    "wandb wandb_log wandb_project wandb_entity use_wandb report_to tensorboard tb mlflow comet "
    "project project_name log_dir logging_dir logdir tracker":
        "nothing is sent anywhere: the curves are in the dashboard and the run's metrics.jsonl",
    "push_to_hub hub_model_id hub_token hub_strategy upload":
        "nothing is uploaded: tuillm export MODEL DIR writes a folder that the hub takes",
    "lr_decay_iters lr_decay_steps num_cycles power step_size gamma":
        "the learning rate falls until the run ends",
    "nesterov amsgrad adam_epsilon eps adam_eps epsilon betas rho":
        "the optimizer has no more settings than tuillm train --help lists",
    "label_smoothing label_smoothing_factor group_by_length packing loss":
        "the loss is the plain cross entropy of the next token",
    "backend ddp ddp_backend nproc_per_node nproc local_rank rank_zero deepspeed fsdp nnodes "
    "world_size master_addr master_port strategy distributed num_processes":
        "a run uses one process on one device",
    "num_workers workers dataloader_num_workers pin_memory dataloader_pin_memory prefetch_factor "
    "preprocessing_num_workers num_proc": "no workers are needed to load the text",
    "threads num_thread num_threads n_threads nthreads threads_batch cpu_threads t":
        "the environment variable OMP_NUM_THREADS says how many threads compute",
    "shuffle": "windows are always drawn in another order",
    "streaming": "texts are read whole",
    "flash flash_attn flash_attention attn_implementation use_flash fa":
        "attention is computed in the fastest way there is, by itself",
    "rope_scaling rope_freq_base rope_freq_scale rope_theta rope yarn n_kv_head num_kv_heads "
    "num_key_value_heads n_gqa gqa moe n_experts activation activation_function act hidden_act "
    "n_inner intermediate_size ffn_dim layer_norm_epsilon initializer_range init_std":
        "what is in the blocks of a new model, arch decides; --from takes those of a model",
    "trust_remote_code": "no code that comes with a model is ever run",
    "use_fast tokenizer_kwargs add_bos_token add_eos_token padding padding_side truncation":
        "the tokenizer has no such settings",
    "cache_dir hf_home": "the environment variable TUILLM_HOME moves all folders",
    "token use_auth_token hf_token api_key access_token":
        "the environment variable HF_TOKEN, or hf auth login, is used by tuillm pull",
    "hf hf_repo hf_file model_url repo repo_id hf_repo_id": "tuillm pull ORG/NAME fetches a model",
    "text_column dataset_config_name dataset_text_field column column_name":
        "the text is plain files or addresses",
    "max_train_samples max_eval_samples limit subset": "the whole text is used",
    "lora_dropout": "adapters have no dropout of their own",
    "log_level debug verbose v quiet q silent log_disable disable_tqdm progress no_progress":
        "a run's log is log.txt in its folder; piped output is plain by itself",
    # replies
    "do_sample greedy sample_mode": "temperature 0 always takes the likeliest token",
    "num_beams beams beam_size beam_width num_beam_groups length_penalty diversity_penalty "
    "penalty_alpha": "there is no beam search; num_samples draws several texts",
    "typical typical_p tfs tfs_z eta_cutoff epsilon_cutoff top_a xtc xtc_probability xtc_threshold "
    "dry dry_multiplier dry_base mirostat mirostat_ent mirostat_lr mirostat_eta mirostat_tau "
    "dynatemp_range dynatemp_exp smoothing_factor samplers sampling_seq":
        "there are temperature, top_k, top_p, min_p and repetition_penalty",
    "repeat_last_n penalty_last_n": "repetition_penalty looks at all that is in view",
    "logit_bias bad_words_ids bad_words force_words_ids suppress_tokens grammar grammar_file "
    "json_schema": "tokens are neither forced nor forbidden",
    "min_length min_new_tokens min_tokens ignore_eos eos_token_id pad_token_id bos_token_id":
        "a reply ends at a stop string, at max_new_tokens or at the model's end-of-text token",
    "context context_length context_size context_window ctx ctx_len n_ctx num_ctx ctx_size c "
    "max_seq_len max_seq_length window model_max_length":
        "--context N of tuillm chat and tuillm generate, at most what tuillm show NAME says",
    "num_batch ubatch ubatch_size n_batch b": "a prompt is read in parts of at most 512 tokens",
    "keepalive keep_alive ttl": "a model stays in memory as long as its chat",
    "mmap no_mmap use_mmap mlock use_mlock numa low_vram f16_kv cache_type_k cache_type_v "
    "kv_offload no_kv_offload use_cache cache logits_all vocab_only offload_kqv":
        "memory is taken care of by itself; --dtype int8 needs least",
    "system sys system_prompt system_message instruction persona":
        "--system TEXT of tuillm chat and tuillm generate -q, where a model has a chat template",
    "chat_template template in_prefix in_suffix prompt_template":
        "a model's card has its template; /mode in the chat says whether it is used",
    "conversation cnv interactive i interactive_first instruct chat st single_turn multiline":
        "tuillm chat NAME talks, tuillm generate NAME writes once",
    "color colors no_color": "the environment variable NO_COLOR takes the colours away",
    "wordwrap nowordwrap": "replies are wrapped at the window's width",
    "think nothink reasoning hidethinking": "these models do not think before they speak",
    "tools tool_choice function_call functions images image": "these models write text alone",
    "stream no_stream streamer": "text is always shown as it comes",
    "escape no_escape": r"\n in a stop string is a line end",
    "prompt_cache prompt_cache_all": "tuillm chat NAME --continue takes a conversation up",
    "draft_model model_draft assistant_model md hf_repo_draft speculative_model":
        "tuillm generate NAME --draft MODEL, or tuillm chat",
    "speculative num_assistant_tokens draft_max draft_min draft_n num_speculative_tokens "
    "prompt_lookup_num_tokens prompt_lookup lookup_cache_static lookup_cache_dynamic ngram":
        "--lookup auto finds out by itself how many tokens to draft",
    "port host listen address api serve url base_url endpoint ssl":
        "there is no server: tuillm export MODEL DIR --to ollama, or --to gguf for llama.cpp",
    "out output output_file out_file o":
        "the text goes to stdout: tuillm generate NAME > FILE",
    "insecure nocache": "tuillm pull checks every file",
    "modelfile": "tuillm export MODEL DIR --to ollama writes one",
}

# verbs of other programs by group, and the command for what they do
VERBS = {
    "tuillm": {
        "talk repl interactive": "tuillm chat NAME",
        "sample complete completion infer inference predict write prompt text_generation "
        "generate_text": "tuillm generate NAME -p TEXT",
        "fit learn grow new pretrain": "tuillm train TEXT",
        "create": "tuillm train TEXT grows a model, tuillm import PATH brings one in",
        "finetune fine_tune tune sft lora adapt": "tuillm train TEXT --from MODEL",
        "download fetch get clone install": "tuillm pull NAME",
        "push publish upload": "nothing is uploaded: tuillm export MODEL DIR",
        "delete del remove uninstall": "tuillm rm NAME",
        "prune gc clean": "tuillm rm NAME, tuillm runs rm ID",
        "mv move": "tuillm rename OLD NEW",
        "copy duplicate": "tuillm cp SOURCE TARGET",
        "info inspect describe card cat stat": "tuillm show NAME",
        "models": "tuillm list",
        "evaluate perplexity ppl bench benchmark test score measure": "tuillm eval MODEL TEXT",
        "diff side_by_side": "tuillm compare A B -p TEXT",
        "convert quantize gguf save ollama": "tuillm export MODEL DIR --to gguf, or --to ollama",
        "load add": "tuillm import PATH, or tuillm pull NAME from the hub",
        "stop pause resume attach extend kill cancel status jobs top logs log watch":
            "tuillm runs, with stop, pause, resume, attach or extend ID",
        "ui tui gui web app monitor home": "tuillm dashboard",
        "serve server daemon api": "there is no server: tuillm export MODEL DIR --to ollama",
        "login signin auth whoami logout signout": "the hub's own: hf auth login, or HF_TOKEN",
        "prepare tokenize preprocess data dataset": "tuillm train TEXT makes the tokens by itself",
        "forecast estimate plan": "tuillm train TEXT --forecast",
        "config settings preset options params": "tuillm presets, tuillm train --help",
        "sessions history conversations continue":
            "tuillm chat NAME --continue, and /sessions there",
        "themes theme colors": "Ctrl-T in the dashboard, /theme in the chat",
        "version": "tuillm --version",
        "update upgrade self_update": "pip install --upgrade tuillm",
        "quickstart tutorial example init hello": "tuillm demo",
        "man usage commands": "tuillm --help",
    },
    "runs": {
        "delete del remove clean prune": "tuillm runs rm ID",
        "kill cancel abort end quit": "tuillm runs stop ID",
        "start go unpause continue restart": "tuillm runs resume ID",
        "log logs watch tail follow view": "tuillm runs attach ID",
        "info inspect status describe metrics": "tuillm runs show ID",
        "more steps lengthen": "tuillm runs extend ID STEPS",
        "new create train": "tuillm train TEXT",
    },
}

# words for what the chat has commands for
CHAT = {
    "sys persona instruction": "/system TEXT",
    "context prompt": "/template shows what the model reads",
    "parameter parameters param": "/set NAME VALUE",
    "models list ls switch use": "/model NAME; tuillm list shows the models",
    "redo again another reroll regenerate": "/regen, or /retry N for several",
    "back delete": "/undo",
    "read file": '""" begins a text of several lines; tuillm generate NAME -p FILE:PATH',
    "multiline": 'Alt-Enter begins a new line, """ a text of several',
    "history chats conversations list_sessions": "/sessions, and /branches in this one",
    "continue go": "Enter on an empty line lets the model go on",
    "copy write": "/export FILE",
    "tokens logprobs probs inspect": "/why",
    "info settings config params": "/show",
    "stats": "the line below shows speed and context; /show the rest",
    "color colors colour": "/theme NAME",
    "stop": "Esc or Ctrl-C stops a reply; /set stop TEXT ends replies there",
    "version": "tuillm --version",
    "pull download": "tuillm pull NAME, then /model NAME",
}

# names that people look for in the package, and attributes of its two classes
PYTHON = {
    "tuillm": {
        "gpt gptmodel gpt2 model languagemodel lm llm automodel automodelforcausallm "
        "gpt2lmheadmodel load load_model from_pretrained": 'Sampler("NAME")',
        "generate generate_text complete completion sample write predict pipeline stream infer "
        "text_generation": 'Sampler("NAME").generate("TEXT")',
        "train fit finetune fine_tune train_model": 'Trainer(corpus="book.txt").run()',
        "trainingarguments trainconfiguration gptconfig config trainerconfig gpt2config "
        "modelconfig trainargs trainingconfig": "TrainConfig, or the keyword arguments of Trainer",
        "generationconfig samplingparams samplerconfig generateconfig":
            "SamplingConfig, or the keyword arguments of Sampler.generate",
        "tokenizer autotokenizer bpe encode decode": 'Sampler("NAME").tokenizer',
        "chat repl talk": "tuillm chat NAME, on the command line",
        "pull download snapshot_download": "tuillm pull NAME, on the command line",
        "evaluate eval perplexity": "tuillm eval MODEL TEXT, on the command line",
        "dataset load_dataset dataloader from_list":
            'Trainer(corpus="book.txt"), or texts= with an iterable of strings or dicts',
        "analyze analyse describe statistics stats": 'explore("book.txt")',
    },
    "Sampler": {
        "generate_text complete completion sample write predict infer text_generation "
        "continue_text create create_completion generate_reply prompt": "generate",
        "answer question chat reply create_chat_completion": "ask, or generate to continue a text",
        "stream_text generate_stream stream_generate iter_tokens tokens": "stream",
        "from_pretrained load load_model open": "Sampler(NAME_OR_FOLDER)",
        "save save_pretrained export push_to_hub": "tuillm export NAME DIR, on the command line",
        "config_help help settings options": "help_config",
        "encode": "tokenizer.encode", "decode": "tokenizer.decode",
        "to cuda cpu half eval": 'Sampler(NAME, device="cpu", dtype="float32")',
        "perplexity evaluate score": "tuillm eval NAME TEXT, on the command line",
        "train fit finetune": 'Trainer(corpus="book.txt", init_from=NAME).run()',
    },
    "Trainer": {
        "train fit start learn train_model launch go execute": "run",
        "step train_step iterate iter_steps": "steps()",
        "generate generate_text complete": "Sampler(NAME).generate(TEXT), once it has run",
        "eval validate test": "evaluate",
        "save save_model save_pretrained publish push_to_hub":
            "run(), which publishes the model in the registry",
        "load load_model resume resume_from_checkpoint": "tuillm runs resume ID",
        "args arguments settings hparams cfg": "config",
        "add_callback callbacks log log_metrics": "steps(), which yields the metrics of each step",
    },
}
