"""One file a widget: what is drawn, told about by the screens."""
