"""The gateway: where clients' commands come in and execution reports and market data go out."""
