"""Write docs/report.schema.json, the JSON schema of report.json.

python docs/write_schema.py
"""

from pathlib import Path

from evaluation.report.report import schema_text

SCHEMA = Path(__file__).with_name("report.schema.json")

if __name__ == "__main__":
    SCHEMA.write_text(schema_text())
    print(SCHEMA)
