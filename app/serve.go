package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/db"
)

// Listen opens the address that the Config says. With free, a taken port gives
// way to the next ones.
func (a *App) Listen(free bool) (net.Listener, error) {
	l, err := net.Listen("tcp", a.Config.Listen)
	if err != nil && free {
		host, _, _ := net.SplitHostPort(a.Config.Listen)
		l, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return nil, fmt.Errorf("listening: %w (-listen names another address; :0 takes a free port)", err)
	}
	return l, nil
}

// Serve answers on l and runs every room until ctx ends; then it lets calls
// under way finish, for ten seconds, and stops. ready is called once when it answers.
func (a *App) Serve(ctx context.Context, l net.Listener, ready func()) error {
	if err := a.checkBucket(ctx); err != nil {
		return errors.Join(err, l.Close())
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	a.url.Store(a.URL(l))
	server := &http.Server{
		Handler:           a.handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          logger(a.log),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	var running sync.WaitGroup
	failed := make(chan error, len(a.rooms)+1)
	for _, r := range a.rooms {
		running.Go(func() {
			if err := r.run(ctx); err != nil && ctx.Err() == nil {
				failed <- fmt.Errorf("%s: %w", r.name, err)
			}
		})
	}
	running.Go(func() {
		err := a.accept(server, l)
		if !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	})
	ready()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	stop() // rooms, and answers that do not end by themselves
	if e := server.Shutdown(grace); e != nil {
		_ = server.Close()
	}
	running.Wait()
	return err
}

func (a *App) accept(server *http.Server, l net.Listener) error {
	if a.Config.TLS.Cert != "" {
		return server.ServeTLS(l, a.Config.TLS.Cert, a.Config.TLS.Key)
	}
	return server.Serve(l)
}

// healthz says that the process answers.
func (a *App) healthz(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") }

// readyz says that state can be read and written, and files where they are kept elsewhere.
func (a *App) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	err := a.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE bus_clock SET position = position WHERE id = 1")
		return err
	})
	if err != nil {
		a.log.Warn("not ready", "error", err)
		http.Error(w, "the database cannot be written to; the log says why", http.StatusServiceUnavailable)
		return
	}
	if a.bucket != nil {
		if err := a.bucket.Check(ctx); err != nil {
			a.log.Warn("not ready", "error", err)
			http.Error(w, "the bucket of artifacts cannot be read; the log says why", http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, "ready")
}

// metrics are counts in Prometheus' text form, for this machine and for trusted proxies' networks alone.
func (a *App) metrics(w http.ResponseWriter, r *http.Request) {
	if from, err := netip.ParseAddr(a.sourceIP(r)); err != nil || !from.IsLoopback() && !a.trusted(from.String()) {
		http.Error(w, "metrics are for this machine, and for trusted-proxies in haechi.yaml", http.StatusForbidden)
		return
	}
	var b strings.Builder
	gauge := func(name, help string, value float64) {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n%s %g\n", name, help, name, name, value)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	gauge("haechi_up_seconds", "Seconds since this process began.", time.Since(a.began).Seconds())
	gauge("haechi_goroutines", "Goroutines now.", float64(runtime.NumGoroutine()))
	gauge("haechi_heap_bytes", "Bytes of heap in use.", float64(m.HeapInuse))
	if size, err := a.DB.Size(r.Context()); err == nil {
		gauge("haechi_database_bytes", "Bytes of the database.", float64(size))
	}
	if s, err := a.Bus.Stats(r.Context()); err == nil {
		gauge("haechi_bus_events", "Events kept on the bus.", float64(s.Events))
		fmt.Fprint(&b, "# HELP haechi_bus_behind Events that a follower has not handled yet.\n# TYPE haechi_bus_behind gauge\n")
		for _, f := range s.Followers {
			fmt.Fprintf(&b, "haechi_bus_behind{follower=%q} %d\n", f.Name, f.Behind)
		}
		fmt.Fprint(&b, "# HELP haechi_bus_parked Events that a follower could not handle.\n# TYPE haechi_bus_parked gauge\n")
		for _, f := range s.Followers {
			fmt.Fprintf(&b, "haechi_bus_parked{follower=%q} %d\n", f.Name, f.Parked)
		}
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write([]byte(b.String()))
}

// URL is how the listener is reached: what the configuration says, or its address.
func (a *App) URL(l net.Listener) string {
	if a.Config.URL != "" {
		return strings.TrimSuffix(a.Config.URL, "/")
	}
	scheme := "http"
	if a.Config.TLS.Cert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if addr, e := netip.ParseAddr(host); err == nil && e == nil && addr.IsUnspecified() {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
