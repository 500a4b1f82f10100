package hub

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/finding"
)

// trendKey is what findings are counted by, day after day. A day is kept as
// what arrived and what departed, so that nothing is ever counted again: how
// many there were on a day is the sum up to it.
type trendKey struct{ product, severity, status, record string }

type trendCount struct{ arrived, departed int }

func trendKeyOf(f *finding.Finding) trendKey {
	return trendKey{f.ProductName, string(f.Label()), string(f.Status()), string(f.RecordState)}
}

// count takes f, which r is about to become, into the day's numbers.
func (b *batch) count(r *row, f *finding.Finding) {
	to := trendKeyOf(f)
	if !r.isNew() {
		from := trendKeyOf(&r.finding)
		if from == to {
			return
		}
		b.trendAt(from).departed++
	}
	b.trendAt(to).arrived++
}

func (b *batch) trendAt(k trendKey) *trendCount {
	if b.trend[k] == nil {
		b.trend[k] = &trendCount{}
	}
	return b.trend[k]
}

const dayLength = int64(24 * time.Hour / time.Microsecond)

func (b *batch) storeTrend() error {
	day := b.at.UnixMicro() / dayLength
	for k, c := range b.trend {
		if _, err := b.tx.Exec(`INSERT INTO hub_trend (day, product, severity, status, record, arrived, departed) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (day, product, severity, status, record) DO UPDATE SET arrived = hub_trend.arrived + excluded.arrived, departed = hub_trend.departed + excluded.departed`,
			day, k.product, k.severity, k.status, k.record, c.arrived, c.departed); err != nil {
			return fmt.Errorf("counting: %w", err)
		}
	}
	return nil
}

// Count is how many findings there are of a kind.
type Count struct {
	Product  string
	Severity finding.Label
	Status   finding.Status
	Record   finding.RecordState
	Count    int
}

// Counts are how many findings there are by product, severity, status and state; it looks at no finding.
func (h *Hub) Counts(ctx context.Context) (list []Count, err error) {
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		list, err = db.All(tx, func(scan db.Scan) (c Count, err error) {
			return c, scan(&c.Product, &c.Severity, &c.Status, &c.Record, &c.Count)
		}, `SELECT product, severity, status, record, CAST(SUM(arrived - departed) AS BIGINT) FROM hub_trend GROUP BY product, severity, status, record
			HAVING SUM(arrived - departed) > 0 ORDER BY product, severity, status, record`)
		return err
	})
	return list, err
}

// Day is how things stood at the end of a day (UTC), and what moved on it.
type Day struct {
	Day      time.Time
	Open     map[finding.Label]int // active, neither resolved nor suppressed
	Opened   int                   // became open on this day; a change of severity counts as both
	Closed   int
	Products map[string]int // open, by product
}

// Trend is one entry for each day from one to another, both included.
func (h *Hub) Trend(ctx context.Context, from, to time.Time) (days []Day, err error) {
	first, last := from.UnixMicro()/dayLength, to.UnixMicro()/dayLength
	type move struct {
		day               int64
		key               trendKey
		arrived, departed int
	}
	var moves []move
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		moves, err = db.All(tx, func(scan db.Scan) (m move, err error) {
			return m, scan(&m.day, &m.key.product, &m.key.severity, &m.key.status, &m.key.record, &m.arrived, &m.departed)
		}, "SELECT day, product, severity, status, record, arrived, departed FROM hub_trend WHERE day <= ? ORDER BY day", last)
		return err
	})
	if err != nil {
		return nil, err
	}
	labels, products := map[finding.Label]int{}, map[string]int{}
	for day, at := first, 0; day <= last && last-first < 4000; day++ {
		d := Day{Day: time.UnixMicro(day * dayLength).UTC(), Open: map[finding.Label]int{}, Products: map[string]int{}}
		for ; at < len(moves) && moves[at].day <= day; at++ {
			m := moves[at]
			if !m.key.open() {
				continue
			}
			labels[finding.Label(m.key.severity)] += m.arrived - m.departed
			products[m.key.product] += m.arrived - m.departed
			if m.day == day {
				d.Opened, d.Closed = d.Opened+m.arrived, d.Closed+m.departed
			}
		}
		for l, n := range labels {
			d.Open[l] = n
		}
		for p, n := range products {
			if n > 0 {
				d.Products[p] = n
			}
		}
		days = append(days, d)
	}
	return slices.Clip(days), nil
}

func (k trendKey) open() bool {
	return k.record == string(finding.Active) && !slices.Contains([]string{string(finding.Resolved), string(finding.Suppressed)}, k.status)
}
