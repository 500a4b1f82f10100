package hub

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// Insight is a question that is asked again and again: which findings, and by what to count them.
type Insight struct {
	ARN     string  `json:"InsightArn"`
	Name    string  `json:"Name"`
	Filters Filters `json:"Filters"`
	GroupBy string  `json:"GroupByAttribute"`
}

// Managed tells whether the insight came with the hub.
func (i Insight) Managed() bool { return strings.HasPrefix(i.ARN, managedMark) }

const managedMark = "arn:aws:securityhub:::insight/securityhub/default/"

// MaxInsightResults is how many groups the results of an insight have at most.
const MaxInsightResults = 100

// Group is how many findings have a value.
type Group struct {
	Value string
	Count int
}

// managedInsights come with the hub. Open is what somebody still has to do something about.
func managedInsights() []Insight {
	open := func(more Filters) Filters {
		f := Filters{"RecordState": Is("ACTIVE"), "WorkflowStatus": Is("NEW", "NOTIFIED")}
		maps.Copy(f, more)
		return f
	}
	bad := Is("CRITICAL", "HIGH")
	days := func(n int) []Condition {
		return []Condition{{DateRange: &DateRange{Value: n, Unit: "DAYS"}}}
	}
	list := []Insight{
		{Name: "1. Resources with the most findings", GroupBy: "ResourceId", Filters: open(nil)},
		{Name: "2. Resources with critical and high findings", GroupBy: "ResourceId", Filters: open(Filters{"SeverityLabel": bad})},
		{Name: "3. Findings by severity", GroupBy: "SeverityLabel", Filters: open(nil)},
		{Name: "4. Findings by product", GroupBy: "ProductName", Filters: open(nil)},
		{Name: "5. Findings by account", GroupBy: "AwsAccountId", Filters: open(nil)},
		{Name: "6. Findings by kind of resource", GroupBy: "ResourceType", Filters: open(nil)},
		{Name: "7. Rules that find the most", GroupBy: "GeneratorId", Filters: open(nil)},
		{Name: "8. New critical and high findings of the last seven days", GroupBy: "GeneratorId", Filters: open(Filters{"SeverityLabel": bad, "CreatedAt": days(7)})},
		{Name: "9. Controls that fail", GroupBy: "ComplianceSecurityControlId", Filters: open(Filters{"ComplianceStatus": Is("FAILED")})},
		{Name: "10. Resources with the most failed checks", GroupBy: "ResourceId", Filters: open(Filters{"ComplianceStatus": Is("FAILED")})},
		{Name: "11. Vulnerabilities that are exploited and can be fixed", GroupBy: "ResourceId", Filters: open(Filters{"VulnerabilitiesExploitAvailable": Is("YES"), "VulnerabilitiesFixAvailable": Is("YES")})},
		{Name: "12. Signs of attack", GroupBy: "ResourceId", Filters: open(Filters{"Type": {{Value: "TTPs", Comparison: Prefix}, {Value: "Effects", Comparison: Prefix}, {Value: "Unusual Behaviors", Comparison: Prefix}}})},
		{Name: "13. Sensitive data in the open", GroupBy: "ResourceId", Filters: open(Filters{"Type": {{Value: "Sensitive Data Identifications", Comparison: Prefix}}})},
		{Name: "14. What was suppressed, by rule", GroupBy: "GeneratorId", Filters: Filters{"WorkflowStatus": Is("SUPPRESSED")}},
	}
	for i := range list {
		list[i].ARN = managedMark + strconv.Itoa(i+1)
	}
	return list
}

func (i *Insight) check() error {
	if blank(i.Name) || len(i.Name) > 256 {
		return fault.Invalid.Errorf("an insight needs a Name of at most 256 bytes")
	}
	if _, err := groupable(i.GroupBy); err != nil {
		return err
	}
	return i.Filters.Check()
}

func groupable(name string) (*attribute, error) {
	a := attributes[name]
	if a == nil || a.kind == isKeyword || a.kind == isMap {
		return nil, fault.Invalid.Errorf("GroupByAttribute: cannot group by %q%s", name, suggest(name))
	}
	return a, nil
}

// CreateInsight keeps an insight and gives it its ARN.
func (h *Hub) CreateInsight(ctx context.Context, i Insight) (Insight, error) {
	if err := i.check(); err != nil {
		return i, err
	}
	i.ARN = h.arn("insight/" + h.config.Account + "/custom/" + bus.ID())
	return i, h.db.Write(ctx, func(tx *db.Tx) error {
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM hub_insights")
		if err == nil && n >= 1000 {
			err = fault.Limit.Errorf("there are %d insights already", n)
		}
		if err != nil {
			return err
		}
		return writeInsight(tx, i, h.now().UnixMicro())
	})
}

func writeInsight(tx *db.Tx, i Insight, created int64) error {
	doc, err := json.Marshal(i, json.Deterministic(true))
	if err != nil {
		return fault.Invalid.Errorf("insight %q: %w", i.Name, err)
	}
	_, err = tx.Exec("INSERT INTO hub_insights (id, created, doc) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc", i.ARN, created, string(doc))
	return err
}

// Insights are one's own, the oldest first, and then those that come with the hub.
func (h *Hub) Insights(ctx context.Context) (list []Insight, err error) {
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		list, err = readInsights(tx)
		return err
	})
	return append(list, managedInsights()...), err
}

func readInsights(tx *db.Tx) ([]Insight, error) {
	return db.All(tx, func(scan db.Scan) (i Insight, err error) {
		var doc []byte
		if err := scan(&doc); err != nil {
			return i, err
		}
		return i, json.Unmarshal(doc, &i)
	}, "SELECT doc FROM hub_insights ORDER BY created, id")
}

// Insight is one insight, or fault.NotFound.
func (h *Hub) Insight(ctx context.Context, arn string) (i Insight, err error) {
	all, err := h.Insights(ctx)
	if err != nil {
		return i, err
	}
	at := slices.IndexFunc(all, func(i Insight) bool { return i.ARN == arn })
	if at < 0 {
		return i, noInsight(arn)
	}
	return all[at], nil
}

func noInsight(arn string) error { return fault.NotFound.Errorf("there is no insight %q", arn) }

// UpdateInsight changes what is set of an insight of one's own.
func (h *Hub) UpdateInsight(ctx context.Context, change Insight) error {
	if change.Managed() {
		return fault.Invalid.Errorf("insight %q came with the hub and cannot be changed", change.ARN)
	}
	return h.db.Write(ctx, func(tx *db.Tx) error {
		all, err := readInsights(tx)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(all, func(i Insight) bool { return i.ARN == change.ARN })
		if at < 0 {
			return noInsight(change.ARN)
		}
		i := all[at]
		i.Name, i.GroupBy = cmp.Or(change.Name, i.Name), cmp.Or(change.GroupBy, i.GroupBy)
		if change.Filters != nil {
			i.Filters = change.Filters
		}
		if err := i.check(); err != nil {
			return err
		}
		return writeInsight(tx, i, 0)
	})
}

// DeleteInsight removes an insight of one's own.
func (h *Hub) DeleteInsight(ctx context.Context, arn string) error {
	return h.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("DELETE FROM hub_insights WHERE id = ?", clean(arn))
		if err == nil && n == 0 {
			err = noInsight(arn)
		}
		return err
	})
}

// GroupBy counts the findings that are meant by an attribute, the most
// frequent value first. A finding with several values, such as of ResourceId,
// counts once under each of them, whatever the filters say of that attribute.
func (h *Hub) GroupBy(ctx context.Context, filters Filters, attribute string, limit int) (groups []Group, err error) {
	a, err := groupable(attribute)
	if err != nil {
		return nil, err
	}
	p, err := compile(filters, asQuery, h.now())
	if err != nil {
		return nil, err
	}
	var counts map[string]int
	err = h.look(ctx, func(tx *db.Tx) error {
		if counts = h.index.group(p, a); counts != nil {
			return nil
		}
		counts = map[string]int{}
		one := []test{{attribute: a}}
		wants := newTrie(one)
		return h.eachMeant(tx, p, func(_ int64, doc []byte) error {
			seen := map[string]bool{}
			for _, v := range wants.read(doc, 1)[0] {
				if !seen[v.text] && v.text != "" {
					seen[v.text] = true
					counts[v.text]++
				}
			}
			return nil
		})
	})
	return most(counts, limit), err
}

// most are the groups with the most findings, in order.
func most(counts map[string]int, limit int) (best []Group) {
	order := func(a, b Group) int { return cmp.Or(b.Count-a.Count, strings.Compare(a.Value, b.Value)) }
	for v, n := range counts {
		g := Group{v, n}
		if len(best) >= limit && (limit <= 0 || order(g, best[limit-1]) > 0) {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, g, order)
		best = slices.Insert(best, at, g)
		best = best[:min(len(best), limit)]
	}
	return best
}

// Count is how many findings are meant.
func (h *Hub) Count(ctx context.Context, filters Filters) (n int, err error) {
	p, err := compile(filters, asQuery, h.now())
	if err != nil {
		return 0, err
	}
	err = h.look(ctx, func(tx *db.Tx) error {
		n = 0
		if counts := h.index.group(p, nil); counts != nil {
			n = counts[""]
			return nil
		}
		return h.eachMeant(tx, p, func(int64, []byte) error {
			n++
			return nil
		})
	})
	return n, err
}

// group counts by an attribute (nil: all together, under ""), or is nil where
// the index does not know enough.
func (ix *index) group(p *predicate, a *attribute) map[string]int {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	l := ix.look(p)
	defer l.done()
	column, texts, values := ix.column(a)
	if !l.complete || values == nil {
		return nil
	}
	rows := make([]int, len(texts)) // first by the rows' numbers, then by what these say
	for i := range ix.class {
		if l.may(i) {
			rows[column[i]]++
		}
	}
	counts := map[string]int{}
	var said []string
	for n, count := range rows {
		if count == 0 {
			continue
		}
		said = values(said[:0], texts[n])
		for i, v := range said {
			if !slices.Contains(said[:i], v) {
				counts[v] += count
			}
		}
	}
	return counts
}

// column is where the index keeps an attribute, and how its values are read
// from a row's text: appended to a list. It is nil for what the index does not keep.
func (ix *index) column(a *attribute) (column []uint32, texts []string, values func(to []string, text string) []string) {
	if a == nil {
		return ix.class, ix.classes.texts, func(to []string, _ string) []string { return append(to, "") }
	}
	every := func(n, of int) func([]string, string) []string {
		return func(to []string, list string) []string {
			each(list, func(i int, text string) {
				if i%of == n {
					to = append(to, text)
				}
			})
			return to
		}
	}
	switch a.name {
	case "GeneratorId":
		return ix.generator, ix.generators.texts, func(to []string, text string) []string { return append(to, text) }
	case "Type":
		return ix.types, ix.typeLists.texts, every(0, 1)
	case "ResourceType":
		return ix.resources, ix.resLists.texts, every(0, 2)
	case "ResourceId":
		return ix.resources, ix.resLists.texts, every(1, 2)
	}
	n := slices.Index(classAttributes[:], a.name)
	if n < 0 {
		return nil, nil, nil
	}
	return ix.class, ix.classes.texts, func(to []string, class string) []string {
		switch v := classValue(class, n); {
		case v.isNumber:
			return append(to, strconv.Itoa(int(v.number)))
		case v.text != "":
			return append(to, v.text)
		}
		return to
	}
}

// Results are an insight's groups, at most MaxInsightResults.
func (h *Hub) Results(ctx context.Context, arn string) (Insight, []Group, error) {
	i, err := h.Insight(ctx, arn)
	if err != nil {
		return i, nil, err
	}
	groups, err := h.GroupBy(ctx, i.Filters, i.GroupBy, MaxInsightResults)
	return i, groups, err
}

// resultList is an insight's results as its event has them: one object a value.
func resultList(groups []Group) []map[string]string {
	var list []map[string]string
	for _, g := range groups {
		list = append(list, map[string]string{g.Value: strconv.Itoa(g.Count)})
	}
	return list
}

func mustJSON(v any) jsontext.Value {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		panic("hub: " + err.Error()) // of plain values
	}
	return text
}
