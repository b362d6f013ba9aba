// An idempotent producer that sends the numbers 0 to COUNT-1 to partition 0 and ends well when each was
// acknowledged, while someone kills the broker under it. Arguments: BOOTSTRAP TOPIC COUNT RECORDS-PER-SECOND.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	count, _ := strconv.Atoi(os.Args[3])
	rate, _ := strconv.Atoi(os.Args[4])
	client, err := kgo.NewClient(
		kgo.SeedBrokers(os.Args[1]),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RecordDeliveryTimeout(2*time.Minute),
		kgo.ProducerLinger(time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
		kgo.MetadataMinAge(100*time.Millisecond),
	)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var acknowledged, failed atomic.Int64
	start := time.Now()
	for n := 0; n < count; n++ {
		time.Sleep(time.Until(start.Add(time.Duration(n) * time.Second / time.Duration(rate))))
		record := &kgo.Record{Topic: os.Args[2], Value: []byte(strconv.Itoa(n))}
		client.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
			if err == nil {
				acknowledged.Add(1)
			} else if failed.Add(1) <= 5 {
				fmt.Println(err)
			}
		})
	}
	if err := client.Flush(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("acknowledged %d of %d\n", acknowledged.Load(), count)
	if acknowledged.Load() != int64(count) {
		os.Exit(1)
	}
}
