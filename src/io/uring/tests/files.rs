use std::io;
use std::time::Duration;

use super::fs::*;
use super::*;
use crate::io::write_whole;

#[test]
fn what_is_written_is_read_back_by_every_way() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    on_one_core(move || async move {
        let file = File::open(&path, OpenOptions::read_write_create_new())
            .await
            .unwrap();
        let many: Vec<Vec<u8>> = (0..3_000_u32).map(|n| n.to_be_bytes().to_vec()).collect();
        let segments: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
        file.write_at_now(0, &[b"ab", b"", b"cdef"]).unwrap();
        file.write_at_now(6, &segments).unwrap();
        file.sync_data().await.unwrap();
        file.sync_all().await.unwrap();
        assert_eq!(file.len_now().unwrap(), 12_006);
        let all = file.read_at(0, 20_000).await.unwrap();
        assert_eq!(&all[..6], b"abcdef");
        assert_eq!(&all[6..], many.concat());
        assert_eq!(file.read_at(4, 2).await.unwrap(), &b"ef"[..]);
        assert!(file.read_at(50_000, 10).await.unwrap().is_empty());

        let again = File::open_now(&path, OpenOptions::read_only()).unwrap();
        let mut buf = [0; 4];
        assert_eq!(again.read_at_now(1, &mut buf).unwrap(), 4);
        assert_eq!(&buf, b"bcde");
        assert_eq!(again.read_at_now(12_004, &mut buf).unwrap(), 2);
        assert!(again.write_at_now(0, &[b"x"]).is_err());
        file.set_len_now(3).unwrap();
        assert_eq!(again.len_now().unwrap(), 3);
        let exists = File::open(&path, OpenOptions::read_write_create_new())
            .await
            .unwrap_err();
        assert_eq!(exists.kind(), io::ErrorKind::AlreadyExists);
    });
}

#[test]
fn dropped_opens_reads_and_flushes_leave_their_memory_with_the_kernel() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    on_one_core(move || async move {
        let file = File::open_now(&path, OpenOptions::read_write_create()).unwrap();
        file.write_at_now(0, &[&vec![7; 4_000_000]]).unwrap();
        for _ in 0..50 {
            let _ = timeout(Duration::ZERO, file.read_at(0, 4_000_000)).await;
            let _ = timeout(Duration::ZERO, file.sync_data()).await;
            let _ = timeout(Duration::ZERO, File::open(&path, OpenOptions::read_only())).await;
        }
        let times_open = || {
            let links = std::fs::read_dir("/proc/self/fd").unwrap();
            links
                .filter(|link| std::fs::read_link(link.as_ref().unwrap().path()).is_ok_and(|to| to == path))
                .count()
        };
        let limit = now() + Duration::from_secs(10);
        while times_open() > 1 {
            assert!(
                now() < limit,
                "an open that nobody waited for left its descriptor behind"
            );
            sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn whole_files_are_replaced_in_one_step_and_read_up_to_a_limit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("whole");
    write_whole_now(&path, b"one").unwrap();
    write_whole_now(&path, b"second").unwrap();
    assert_eq!(read_whole_now(&path, 6).unwrap(), b"second");
    assert_eq!(
        read_whole_now(&path, 5).unwrap_err().kind(),
        io::ErrorKind::FileTooLarge
    );
    let names: Vec<_> = read_dir_now(directory.path())
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names, ["whole"]);
}

#[test]
fn directories_are_made_listed_in_order_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_owned();
    create_dir_all_now(root.join("b/c")).unwrap();
    write_whole_now(root.join("a"), b"").unwrap();
    rename_now(root.join("a"), root.join("z")).unwrap();
    let entries = read_dir_now(&root).unwrap();
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| (entry.name.to_str().unwrap(), entry.is_dir))
        .collect();
    assert_eq!(seen, [("b", true), ("z", false)]);
    remove_dir_all_now(root.join("b")).unwrap();
    remove_file_now(root.join("z")).unwrap();
    assert!(!exists_now(root.join("b")).unwrap());
    assert!(read_dir_now(&root).unwrap().is_empty());
    sync_dir_now(root).unwrap();
}

#[test]
fn files_and_directories_are_made_and_removed_beside_the_core() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_owned();
    on_one_core(move || async move {
        let (dir, file) = (root.join("d"), root.join("d/f"));
        create_dir(&dir).await.unwrap();
        let error = create_dir(&dir).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        write_whole_now(&file, b"x").unwrap();
        let error = remove_dir(&dir).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::DirectoryNotEmpty);
        remove_file(&file).await.unwrap();
        let error = remove_file(&file).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        remove_dir(&dir).await.unwrap();
        assert!(!exists_now(&dir).unwrap());
        // A removal that nobody waits for gives no descriptor, though its result, 0, is a number that could be one.
        let stdin = || std::fs::read_link("/proc/self/fd/0").ok();
        let before = stdin();
        write_whole_now(root.join("g"), b"x").unwrap();
        let _ = timeout(Duration::ZERO, remove_file(root.join("g"))).await;
        while exists_now(root.join("g")).unwrap() {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(5)).await;
        assert_eq!(stdin(), before);
    });
}

#[test]
fn files_are_written_renamed_and_replaced_beside_the_core() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_owned();
    on_one_core(move || async move {
        let (from, to) = (root.join("a"), root.join("b"));
        let file = File::open(&from, OpenOptions::read_write_create()).await.unwrap();
        let large = vec![7; 3_000_000];
        file.write_at(0, b"head".as_slice().into()).await.unwrap();
        file.write_at(4, large.clone().into()).await.unwrap();
        file.write_back(0, 1 << 20).await;
        rename(&from, &to).await.unwrap();
        assert_eq!(
            rename(&from, &to).await.unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        // Under its new name the open file goes on.
        file.write_at(4 + large.len() as u64, b"tail".as_slice().into())
            .await
            .unwrap();
        let read_only = File::open_now(&to, OpenOptions::read_only()).unwrap();
        assert_eq!(
            read_only.read_at(0, 4_000_000).await.unwrap(),
            [b"head", &large[..], b"tail"].concat()
        );
        assert!(read_only.write_at(0, b"x".as_slice().into()).await.is_err());

        write_whole(&to, b"anew".as_slice().into()).await.unwrap();
        assert_eq!(read_whole_now(&to, 10).unwrap(), b"anew");
        assert_eq!(read_dir_now(&root).unwrap().len(), 1);
    });
}

#[test]
fn room_is_reserved_behind_a_files_end_and_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    on_one_core(move || async move {
        let file = File::open_now(&path, OpenOptions::read_write_create()).unwrap();
        file.reserve(8 << 20).await.unwrap();
        assert_eq!(file.len_now().unwrap(), 0);
        assert!(file.allocated_now().unwrap() >= 8 << 20);
        file.write_at_now(0, &[b"batch"]).unwrap();
        file.trim(5).await.unwrap();
        assert!(file.allocated_now().unwrap() < 1 << 20);
        assert_eq!(file.read_at(0, 100).await.unwrap(), &b"batch"[..]);
    });
}

#[test]
fn a_removed_file_is_readable_until_it_is_closed_and_closed_beside_the_core() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    on_one_core(move || async move {
        let file = File::open_now(&path, OpenOptions::read_write_create()).unwrap();
        file.write_at_now(0, &[b"still here"]).unwrap();
        remove_file(&path).await.unwrap();
        assert_eq!(file.read_at(0, 100).await.unwrap(), &b"still here"[..]);
        let gone = std::path::PathBuf::from(format!("{} (deleted)", path.display()));
        let is_open = || {
            let links = std::fs::read_dir("/proc/self/fd").unwrap();
            links
                .filter_map(Result::ok)
                .any(|link| std::fs::read_link(link.path()).is_ok_and(|to| to == gone))
        };
        assert!(is_open());
        drop(file);
        assert!(super::super::core::with(|core| core
            .ring
            .borrow_mut()
            .has_queued()));
        while is_open() {
            sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_directory_is_locked_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(".lock");
    let lock = DirLock::acquire(&path).unwrap();
    assert_eq!(
        DirLock::acquire(&path).unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    drop(lock);
    DirLock::acquire(&path).unwrap();
}
