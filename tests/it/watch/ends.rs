//! How a watch ends: OK if and only if the terminal event was sent, else with an error that says what to do.
