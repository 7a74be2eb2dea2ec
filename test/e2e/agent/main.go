// Command agent is what runs in the pods of the suite. It talks to nobody but its targets; the suite reads its log.
//
//	agent [stubborn] COMMAND ARGUMENT… [COMMAND ARGUMENT…]…
//
//	listen PORT…    accepts connections, and closes them
//	dial TARGET…    tries each host:port again and again
//	query HOST…     keeps a session of SQL with each host and asks it again and again
//
// A stubborn agent does not end when it is asked to. Each attempt is a line of JSON. A query takes user name, password and the
// authority of the database's certificate from the directory /credential, as far as they are there.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"entrustment.dev/operator/test/e2e/attempt"
)

const (
	patience = time.Second            // a packet that is dropped is never answered
	calm     = 10 * time.Second       // in a session: a database that is slow has not ended it
	interval = 100 * time.Millisecond // between attempts
	rhythm   = 20 * time.Millisecond  // of questions in a session

	delivered = "/credential"
	authority = delivered + "/ca.crt"
)

const usage = "usage: agent [stubborn] listen PORT… | dial TARGET… | query HOST…"

func main() {
	commands := map[string]func(string){"listen": listen, "dial": dial, "query": query}
	arguments := os.Args[1:]
	if len(arguments) > 0 && arguments[0] == "stubborn" {
		signal.Ignore(syscall.SIGTERM)
		arguments = arguments[1:]
	}
	var all sync.WaitGroup
	var command func(string)
	for _, argument := range arguments {
		if other := commands[argument]; other != nil {
			command = other
			continue
		}
		if command == nil {
			break
		}
		each := command
		all.Go(func() { each(argument) })
	}
	if command == nil {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	all.Wait()
}

var output sync.Mutex

func tell(target string, outcome attempt.Outcome, began time.Time, detail string) {
	line := attempt.Attempt{Target: target, Outcome: outcome, Began: began, Ended: time.Now(), Detail: detail}
	output.Lock()
	err := json.NewEncoder(os.Stdout).Encode(line)
	output.Unlock()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func listen(port string) {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		_ = connection.Close() // that it was accepted is all that is asked
	}
}

func dial(target string) {
	for ; ; time.Sleep(interval) {
		began := time.Now()
		connection, err := net.DialTimeout("tcp", target, patience)
		if err != nil {
			tell(target, outcomeOf(err), began, err.Error())
			continue
		}
		_ = connection.Close() // that it was made is all that is asked
		tell(target, attempt.Open, began, "")
	}
}

// outcomeOf tells silence, which is what a policy makes, from answers and from names that are not known.
func outcomeOf(err error) attempt.Outcome {
	var name *net.DNSError
	var network net.Error
	switch {
	case errors.As(err, &name):
		return attempt.NoName
	case errors.Is(err, syscall.ECONNREFUSED):
		return attempt.Refused
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return attempt.Silent
	}
	return attempt.Failed
}

func query(host string) {
	for ; ; time.Sleep(interval) {
		began := time.Now()
		err := session(host)
		outcome := outcomeOf(err)
		var refusal *pgconn.PgError
		if errors.As(err, &refusal) {
			outcome = attempt.Rejected
		}
		tell(host, outcome, began, err.Error())
	}
}

// session asks until something goes wrong, and returns that.
func session(host string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	encryption := "sslmode=prefer"
	if _, err := os.Stat(authority); err == nil {
		encryption = "sslmode=verify-full sslrootcert=" + authority
	}
	url := fmt.Sprintf("host=%s dbname=ledger user=%s password=%s %s", host, credential("username"), credential("password"), encryption)
	connection, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer connection.Close(context.Background())
	for ; ; time.Sleep(rhythm) {
		began := time.Now()
		rows, err := count(connection)
		if err != nil {
			return err
		}
		tell(host, attempt.Answered, began, fmt.Sprintf("%d rows", rows))
	}
}

func count(connection *pgx.Conn) (rows int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), calm)
	defer cancel()
	err = connection.QueryRow(ctx, "SELECT count(*) FROM invoices").Scan(&rows)
	return rows, err
}

func credential(key string) string {
	text, err := os.ReadFile(filepath.Join(delivered, key))
	if err != nil {
		return "nobody"
	}
	return strings.TrimSpace(string(text))
}
