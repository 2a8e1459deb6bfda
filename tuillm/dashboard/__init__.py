"""The Textual app: see, steer and start everything.

Reads the registry and the run folders, writes requests; its process never imports torch,
transformers or tiktoken. `tuillm.dashboard.app` holds the app itself.
"""
