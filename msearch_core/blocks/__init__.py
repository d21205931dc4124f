"""The building blocks: functions that compose Keras' built-in layers, one file a family."""
