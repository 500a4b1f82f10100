package hub

import "github.com/haechi-dev/haechi/base/db"

// Schema is the hub's tables. Times are microseconds since 1970.
//
// hub_findings keeps the whole finding in doc; facets is what queries look at
// first (see index). Each transaction that touches findings takes the next
// rev, so that whoever has seen rev n has only to read what is above it.
func Schema() db.Schema {
	return db.Schema{Room: "hub", Steps: []string{`
CREATE TABLE hub_counters (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
INSERT INTO hub_counters (name, value) VALUES ('rev', 0), ('seq', 0), ('rules', 0);
CREATE TABLE hub_findings (seq BIGINT PRIMARY KEY, rev BIGINT NOT NULL, account TEXT NOT NULL, product TEXT NOT NULL, id TEXT NOT NULL,
	born BIGINT NOT NULL, decided BIGINT NOT NULL, facets BLOB NOT NULL, doc TEXT NOT NULL);
CREATE UNIQUE INDEX hub_findings_by_identity ON hub_findings (id, product, account);
CREATE INDEX hub_findings_by_rev ON hub_findings (rev, seq);
CREATE TABLE hub_scans (id TEXT PRIMARY KEY, tool TEXT NOT NULL, version TEXT NOT NULL, target TEXT NOT NULL, branch TEXT NOT NULL, revision TEXT NOT NULL, digest TEXT NOT NULL,
	complete BIGINT NOT NULL, skipped TEXT NOT NULL, at BIGINT NOT NULL, found BIGINT NOT NULL, closed BIGINT NOT NULL, done BIGINT NOT NULL);
CREATE INDEX hub_scans_by_target ON hub_scans (target, branch, tool, at);
CREATE TABLE hub_presence (finding BIGINT NOT NULL, target TEXT NOT NULL, branch TEXT NOT NULL, tool TEXT NOT NULL, scan TEXT NOT NULL, revision TEXT NOT NULL,
	since BIGINT NOT NULL, seen BIGINT NOT NULL, PRIMARY KEY (finding, target, branch, tool));
CREATE INDEX hub_presence_by_target ON hub_presence (target, branch, tool);
CREATE TABLE hub_history (finding BIGINT NOT NULL, rev BIGINT NOT NULL, step BIGINT NOT NULL, at BIGINT NOT NULL, kind TEXT NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL, changes TEXT NOT NULL,
	PRIMARY KEY (finding, rev, step));
CREATE TABLE hub_acceptances (finding BIGINT PRIMARY KEY, kind TEXT NOT NULL, reason TEXT NOT NULL, owner TEXT NOT NULL, until BIGINT NOT NULL, rule TEXT NOT NULL, who TEXT NOT NULL, at BIGINT NOT NULL);
CREATE INDEX hub_acceptances_by_until ON hub_acceptances (until);
CREATE INDEX hub_acceptances_by_rule ON hub_acceptances (rule);
CREATE TABLE hub_suppressions (id TEXT PRIMARY KEY, name TEXT NOT NULL, pattern TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, owner TEXT NOT NULL, until BIGINT NOT NULL, who TEXT NOT NULL, at BIGINT NOT NULL);
CREATE TABLE hub_trend (day BIGINT NOT NULL, product TEXT NOT NULL, severity TEXT NOT NULL, status TEXT NOT NULL, record TEXT NOT NULL, arrived BIGINT NOT NULL, departed BIGINT NOT NULL,
	PRIMARY KEY (day, product, severity, status, record));
CREATE TABLE hub_settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE hub_rules (id TEXT PRIMARY KEY, place BIGINT NOT NULL, updated BIGINT NOT NULL, doc TEXT NOT NULL);
CREATE TABLE hub_insights (id TEXT PRIMARY KEY, created BIGINT NOT NULL, doc TEXT NOT NULL);
CREATE TABLE hub_actions (id TEXT PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL);
CREATE TABLE hub_products (arn TEXT PRIMARY KEY, at BIGINT NOT NULL);
CREATE TABLE hub_standards (arn TEXT PRIMARY KEY, at BIGINT NOT NULL);
CREATE TABLE hub_controls (standard TEXT NOT NULL, control TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (standard, control));
CREATE TABLE hub_parameters (control TEXT PRIMARY KEY, doc TEXT NOT NULL, reason TEXT NOT NULL, at BIGINT NOT NULL);
CREATE TABLE hub_tags (arn TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (arn, name))`, `
CREATE TABLE hub_marks (mark BIGINT NOT NULL, finding BIGINT NOT NULL, claim TEXT NOT NULL, PRIMARY KEY (mark, finding, claim));
CREATE INDEX hub_marks_by_finding ON hub_marks (finding);
CREATE TABLE hub_ties (finding BIGINT NOT NULL, claim TEXT NOT NULL, problem BIGINT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, other BIGINT NOT NULL, who TEXT NOT NULL, at BIGINT NOT NULL,
	PRIMARY KEY (finding, claim));
CREATE INDEX hub_ties_by_problem ON hub_ties (problem);
CREATE TABLE hub_untied (finding BIGINT NOT NULL, claim TEXT NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (finding, claim));
INSERT INTO hub_counters (name, value) SELECT 'unclaimed', value FROM hub_counters WHERE name = 'seq';
INSERT INTO hub_counters (name, value) VALUES ('problem', 0)`, `
ALTER TABLE hub_scans ADD COLUMN made BIGINT NOT NULL DEFAULT 0`}}
}
