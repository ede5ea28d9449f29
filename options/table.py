"""The table of options: every one once, with its key, default, help, flags, choices, kind, bounds, and what reads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from options import kinds as k
from options import readers as r
from options.option import Option

# The folder of large files: datasets, weights, caches. Set it here, in the environment, or by `ASSETS_PATH /my/folder`.
ASSETS_PATH = os.environ.get("ASSETS_PATH", str(Path(__file__).resolve().parents[1] / "assets"))

# A typing error here would not end in hours, or not fit into any memory.
MOST_SCALE, LEAST_TILE = 10, 16


def _table() -> dict[str, list[Option]]:
    o = Option
    return {
        "Folders": [
            o("ASSETS_PATH", ASSETS_PATH, "folder of large files; the word ASSETS_PATH in any path stands for it"),
            o("DATASET.CITYSCAPES_DIR", "ASSETS_PATH/data/Cityscapes", "Cityscapes", "--set_cityscapes_root"),
            o("DATASET.CITYSCAPES_CUSTOMCOARSE", "ASSETS_PATH/data/Cityscapes/autolabelled", "pseudo-labels", "--custom_coarse_dir"),
            o("DATASET.MAPILLARY_DIR", "ASSETS_PATH/data/Mapillary/data", "Mapillary Vistas"),
            o("DATASET.CAMVID_DIR", "ASSETS_PATH/data/CamVid", "CamVid in the SegNet layout"),
            o("DATASET.CAMVID_CLASSES", "11", "classes of CamVid's RGB-encoded labels: SegNet's 11, or all", choices=("11", "32")),
            o("DATASET.KITTI_DIR", "ASSETS_PATH/data/KITTI", "KITTI semantics"),
            o("DATASET.ADE20K_DIR", "ASSETS_PATH/data/ADE20K", "ADE20K scene parsing"),
            o("DATASET.ACDC_DIR", "ASSETS_PATH/data/ACDC", "ACDC"),
            o("DATASET.LIST_TRAIN", "", "list of training images and labels, .lst or ADE20K's .odgt; empty: the folder says", "--list_train"),
            o("DATASET.LIST_VAL", "", "the same for validation", "--list_val"),
            o("DATASET.LIST_TEST", "", "list of test images for --eval test", "--list_test"),
            o("DATASET.CLASSES", "", "--dataset list or folder: YAML file of the classes' names, label values, colors", "--classes"),
            o("DATASET.CONDITIONS", (), "acdc: those of fog,night,rain,snow that are used; empty: all", "--conditions", of=k.names),
            o("DATASET.AUG_DIR", "", "frames with propagated labels; empty: cs_aug or camvid_aug3/CamVid in the dataset", "--aug_dir"),
            o("DATASET.TOY_DIR", "ASSETS_PATH/data/toy", "where the embedded scenes are written"),
            o("DATASET.CENTROID_ROOT", "ASSETS_PATH/uniform_centroids", "cache of class centroids"),
            o("DATASET.ROOT", "", "the dataset's folder, whichever dataset it is", "--data_root --dataset_dir --root_dataset", common=True),
            o("RESULT_DIR", "./logs", "output folder of the run", "--result_dir", common=True),
        ],
        "What to do": [
            o("EVAL.MODE", "", "evaluate instead of training", "--eval", ("", "val", "trn", "test", "folder"), common=True),
            o("EVAL.FOLDER", "", "folder of images for --eval folder", "--eval_folder", reads=r.FOLDER, common=True),
            o("EVAL.LABELS", "", "folder of labels to score --eval folder against", "--eval_labels", reads=r.FOLDER),
            o("EVAL.LABEL_IDS", "auto", "ids in labels of --eval_labels, lists and folders: the dataset's own, or train ids; auto: as their names or values say", "--eval_label_ids --label_ids", ("auto", "raw", "train")),
            o("SNAPSHOT", "", "checkpoint, or folder of a run, to take weights from, by name and shape", "--snapshot", of=k.file_or_pair, common=True),
            o("RESUME", "", "checkpoint to continue from; auto: newest intact one of the run", "--resume", common=True),
            o("DATASET.MAP_CLASSES", "", "YAML file of classes that --snapshot calls otherwise: here: there, or here: [several there]", "--map_classes", reads=r.FILE_START),
            o("TRAIN.RESTORE_OPTIMIZER", False, "also take the optimizer state of --snapshot", "--restore_optimizer", reads=r.FILE_START),
            o("TRAIN.RESTORE_NET", False, "take weights; --snapshot and --resume imply it", "--restore_net"),
            o("OPTIONS.TEST_MODE", False, "smoke test: 2 epochs of 11 steps, 7 images of validation", "--test_mode"),
            o("OPTIONS.DEVICES", (), "GPUs of this machine, a process on each: 0-3, or 0,2,4", "--device --gpus --gpu --gpu_id", of=k.gpus),
            o("OPTIONS.AUTO", False, "plan network, crop, batch and rates from data and trials; what you give stays", "--auto", common=True),
            o("OPTIONS.DRY_RUN", False, "with --auto: write and print the plan, then stop", "--dry_run", reads=r.PLANNED),
            o("OPTIONS.PLAN", False, "print memory, hours and disk of this training, from a trace of nothing; then stop", "--plan", common=True),
            o("OPTIONS.PLAN_DEVICE", "auto", "with --plan and --max_memory: for which device; auto: the one that is here", "--plan_device", ("auto", "cpu", "cuda"), reads=r.TRACED),
            o("OPTIONS.TFLOPS", 0.0, "with --plan: 10^12 operations a second that a process reaches; 0: measured here", "--tflops", least=0, reads=r.PLAN),
            o("OPTIONS.MAX_MEMORY", 0, "24GiB: batch, accumulation, recomputation, tiles that fit; a step keeps its images", "--max_memory", of=k.memory, least=0, common=True),
            o("OPTIONS.SUMMARY", False, "print parameters, multiply-adds, memory; then stop", "--summary"),
            o("OPTIONS.DETERMINISTIC", False, "deterministic kernels on the GPU", "--deterministic"),
            o("SEED", 0, "seed of weights, sampling, augmentation", "--seed", least=0, most=(1 << 63) - 1, common=True),
            o("PUBLISHED", (), "published bugs to switch on, by name, comma-separated", "--published", of=k.names),
        ],
        "Network": [
            o("MODEL.ARCH", "", "network to build, for instance ocrnet.HRNet_Mscale", "--arch", common=True),
            o("MODEL.ENCODER", "resnet50dilated", "encoder_decoder: resnet18, resnet50, resnet101, resnext101, mobilenetv2 (and ...dilated), hrnetv2", "--arch_encoder", reads=r.PARSING),
            o("MODEL.DECODER", "ppm_deepsup", "encoder_decoder: c1, c1_deepsup, ppm, ppm_deepsup, upernet, upernet_lite", "--arch_decoder", reads=r.PARSING),
            o("MODEL.FC_DIM", 0, "channels of the encoder's last map; 0: as they are", "--fc_dim", least=0, reads=r.part("heads of scene parsing", "fc_dim")),
            o("MODEL.HRNET_WIDTH", 48, "channels of HRNet's highest branch: 48, 32, 18, ...", "--hrnet_width", above=0, reads=r.HRNET),
            o("MODEL.WIDTH_MULT", 1.0, "factor on every channel count of the trunk", "--width_mult", above=0, reads=r.part("trunks that exist in several widths", "width_mult")),
            o("MODEL.N_SCALES", (), "scales combined at evaluation: 0.5,1.0,2.0", "--n_scales", of=k.floats, above=0, most=MOST_SCALE, reads=r.SCALES, common=True),
            o("MODEL.MSCALE_LO_SCALE", 0.5, "the lower of the two training scales", "--mscale_lo_scale", above=0, below=1, reads=r.TWO_SCALES),
            o("MODEL.SECOND_SCALE_FROM", 0, "epoch from which training also sees the lower scale", "--second_scale_from", least=0, reads=r.SCALES),
            o("MODEL.ALIGN_CORNERS", False, "align corners in bilinear resizing", "--align_corners"),
            o("MODEL.OCR_ASPP", False, "ASPP between trunk and OCR head", "--ocr_aspp", reads=r.part("the head ocr", "ocr_aspp")),
            o("MODEL.SEGATTN_BOT_CH", 256, "width of segmentation and attention heads", "--segattn_bot_ch", above=0, reads=r.part("networks whose head or attention has 3x3 convolutions", "head_channels")),
            o("MODEL.ASPP_BOT_CH", 256, "width of an ASPP branch", "--aspp_bot_ch", above=0, reads=r.ASPP),
            o("MODEL.MSCALE_INNER_3x3", True, "the inner 3x3 convolution of the attention head; the flag: without", reads=r.NEW_ATTENTION),
            o("MODEL.MSCALE_DROPOUT", False, "dropout 0.5 in the attention head", "--mscale_dropout", reads=r.NEW_ATTENTION),
            o("MODEL.MSCALE_OLDARCH", False, "older attention head, constant start", "--mscale_old_arch", reads=r.ATTENTION),
            o("MODEL.ATTNSCALE_BN_HEAD", False, "batch norm in the attnscale head", "--attnscale_bn_head", reads=r.part("networks that weigh all scales at once", "attnscale_norm")),
            o("MODEL.BN_MOMENTUM", -1.0, "batch-norm momentum; -1: the network's published value", "--bn_momentum", least=0, most=1, off=-1),
            o("MODEL.GRAD_CKPT", False, "recompute activations in the backward pass: less memory", "--grad_ckpt", reads=r.part("trunks that can recompute them", "grad_ckpt")),
            o("MODEL.DROP_PATH", 0.0, "share of the samples for which a residual block of the trunk is left out in training", "--drop_path", least=0, below=1, reads=r.part("trunks of packages", "drop_path")),
            o("MODEL.NECK.CHANNELS", 64, "channels that each map of the trunk is squeezed to before they are joined", "--neck_channels", above=0, reads=r.NECK),
            o("MODEL.NECK.STRIDE", 8, "they are joined at 1/this of the image", "--neck_stride", above=0, reads=r.NECK),
            o("MODEL.TRUNK_WEIGHTS", "", "weights of the trunk: a file or folder under its own, timm's, its authors' or torchvision's names (of most networks: README); pip:PACKAGE, hf:OWNER/NAME, url:ADDRESS#sha256=HEX", "--trunk_weights", reads=r.BARE_START),
            o("MODEL.ADAPT_FIRST_CONV", False, "with --trunk_weights of images of other than three channels: adapt the first convolution", "--adapt_first_conv", reads=r.TRUNK_FILE),
            o("MODEL.HRNET_CHECKPOINT", "ASSETS_PATH/seg_weights/hrnetv2_w48_imagenet_pretrained.pth", "taken if there", reads=r.checkpoint("HRNet", "HRNET_CHECKPOINT")),
            o("MODEL.WRN38_CHECKPOINT", "ASSETS_PATH/seg_weights/wider_resnet38.pth.tar", "taken if there", reads=r.checkpoint("Wide-ResNet-38", "WRN38_CHECKPOINT")),
            o("MODEL.X71_CHECKPOINT", "ASSETS_PATH/seg_weights/aligned_xception71.pth", "taken if there", reads=r.checkpoint("Xception-71", "X71_CHECKPOINT")),
            o("MODEL.INIT_DECODER", False, "Kaiming-normal start of the heads", "--init_decoder"),
            o("MODEL.FIX_BN", False, "leave batch norm's running statistics as they are loaded, and use them", "--fix_bn"),
            o("MODEL.FREEZE_TRUNK", False, "leave the trunk as it is loaded", "--freeze_trunk"),
            o("MODEL.FREEZE_STAGES", 0, "leave so many first stages of the trunk as they are loaded", "--freeze_stages", least=0),
            o("MODEL.OFFSET_BRANCH", 4, "offset nets: HRNet's first stage that exists twice, 2, 3 or 4", least=2, most=4, reads=r.SECOND_BRANCH),
            o("MODEL.OFFSET_THRESHOLD", -1.0, "offset nets: longest offset, 1 being half the side; -1: the network's published value", above=0, most=2, off=-1, reads=r.OFFSETS),
            o("MODEL.ITERATIVE_REFINEMENT", 0, "offset nets: steps that add the offset found at the seed", least=0, reads=r.OFFSETS),
            o("MODEL.LOGITS", True, "offset nets: sample and fuse scores as they are; else after a softmax", reads=r.OFFSETS),
            o("MODEL.FREEZED_PAR", False, "offset nets: train the offset head and the stages that exist twice alone", reads=r.OFFSETS),
            o("MODEL.OFFSET_PRETRAINED", "", "offset nets: file for the second of the stages that exist twice; empty: that of the first", reads=r.OFFSETS),
            o("MODEL.OCR.MID_CHANNELS", 512, "OCR: channels of the pixel features", above=0, reads=r.OCR_HEADS),
            o("MODEL.OCR.KEY_CHANNELS", 256, "OCR: channels of keys and queries", above=0, reads=r.OCR_HEADS),
            o("MODEL.OCR.DROPOUT", 0.05, "OCR: dropout after the object attention", least=0, most=1, reads=r.OCR_HEADS),
            o("MODEL.OCR_EXTRA.STAGE1.NUM_MODULES", 1, "HRNet stage 1: modules", reads=r.HRNET),
            o("MODEL.OCR_EXTRA.STAGE1.NUM_BLOCKS", (4,), "HRNet stage 1: blocks", of=k.counts, reads=r.HRNET),
            o("MODEL.OCR_EXTRA.STAGE2.NUM_MODULES", 1, "HRNet stage 2: modules", reads=r.HRNET),
            o("MODEL.OCR_EXTRA.STAGE2.NUM_BLOCKS", (4, 4), "HRNet stage 2: blocks of each branch", of=k.counts, reads=r.HRNET),
            o("MODEL.OCR_EXTRA.STAGE3.NUM_MODULES", 4, "HRNet stage 3: modules", reads=r.HRNET),
            o("MODEL.OCR_EXTRA.STAGE3.NUM_BLOCKS", (4, 4, 4), "HRNet stage 3: blocks of each branch", of=k.counts, reads=r.HRNET),
            o("MODEL.OCR_EXTRA.STAGE4.NUM_MODULES", 3, "HRNet stage 4: modules", reads=r.HRNET),
            o("MODEL.OCR_EXTRA.STAGE4.NUM_BLOCKS", (4, 4, 4, 4), "HRNet stage 4: blocks of each branch", of=k.counts, reads=r.HRNET),
            o("MODEL.OCR_EXTRA.STAGE2_2.NUM_MODULES", 1, "offset nets, the second stage 2: modules", reads=r.second_stage(2)),
            o("MODEL.OCR_EXTRA.STAGE2_2.NUM_BLOCKS", (4, 4), "offset nets, the second stage 2: blocks of each branch", of=k.counts, reads=r.second_stage(2)),
            o("MODEL.OCR_EXTRA.STAGE3_2.NUM_MODULES", 3, "offset nets, the second stage 3: modules", reads=r.second_stage(3)),
            o("MODEL.OCR_EXTRA.STAGE3_2.NUM_BLOCKS", (4, 4, 4), "offset nets, the second stage 3: blocks of each branch", of=k.counts, reads=r.second_stage(3)),
            o("MODEL.OCR_EXTRA.STAGE4_2.NUM_MODULES", 2, "offset nets, the second stage 4: modules", reads=r.second_stage(4)),
            o("MODEL.OCR_EXTRA.STAGE4_2.NUM_BLOCKS", (4, 4, 4, 4), "offset nets, the second stage 4: blocks of each branch", of=k.counts, reads=r.second_stage(4)),
        ],
        "Data": [
            o("DATASET.NAME", "cityscapes", "dataset", "--dataset", common=True),
            o("DATASET.CV", 0, "Cityscapes split: 0, 1, 2; 3 trains on train and val (also CamVid)", "--cv --cv_split", least=0, most=3),
            o("DATASET.NUM_CLASSES", 0, "classes; 0: those of the dataset", "--num_class"),
            o("DATASET.IGNORE_LABEL", 255, "train id that is left out everywhere"),
            o("DATASET.MEAN", (0.485, 0.456, 0.406), "mean of R, G, B in 0..1", of=k.colors),
            o("DATASET.STD", (0.229, 0.224, 0.225), "standard deviation of R, G, B in 0..1", of=k.colors, above=0),
            o("DATASET.IMAGE_BITS", 0, "of pictures with 16 bits, how many their values use: 8 to 16; 0: by some of the files", "--image_bits", least=8, most=16, off=0),
            o("DATASET.CACHE_DECODED", "", "folder that keeps images and labels decoded, so that no epoch decodes them again", "--cache_decoded"),
            o("DATASET.ON_BAD_SAMPLE", "stop", "an image or label that cannot be read: save and stop, or skip: leave it out, say and count it", "--on_bad_sample", ("stop", "skip")),
            o("DATASET.NUM_WORKERS", 4, "loader processes; validation uses half", "--num_workers --workers", least=0, most=1024, common=True),
            o("DATASET.TRAIN_FRACTION", 1.0, "train on a fixed, class-balanced share of the images", "--train_fraction", above=0, most=1, reads=r.CROPS),
            o("DATASET.CLASS_UNIFORM_PCT", 0.5, "share of an epoch drawn class-uniformly", "--class_uniform_pct", least=0, most=1, reads=r.UNIFORM),
            o("DATASET.CLASS_UNIFORM_TILE", 1024, "tile of the centroids, pixels", "--class_uniform_tile", above=0),
            o("DATASET.MAX_CU_EPOCH", 150, "from this epoch on without coarse images", "--max_cu_epoch", least=0),
            o("DATASET.COARSE_BOOST_CLASSES", (), "train ids that coarse images add to", "--coarse_boost_classes", of=k.ints, least=0, reads=r.CROPS),
            o("DATASET.CUSTOM_COARSE_DROPOUT_CLASSES", (), "pseudo-labels replaced by coarse labels for these train ids", "--custom_coarse_dropout_classes", of=k.ints, least=0),
            o("DATASET.CUSTOM_COARSE_PROB", -1.0, "pseudo-labels below this confidence are ignored; -1: no pseudo-labels", "--custom_coarse_prob", least=0, most=1, off=-1, reads=r.CROPS),
            o("DATASET.MAX_SKIP", 0, "class-uniform crops also of the frames so far before and after each image; 0: none", "--maxSkip", least=0, reads=r.UNIFORM_CROPS),
            o("DATASET.COARSE_MULTIPLE", 0.0, "whole coarse images in each epoch, as a multiple of the fine ones", "--coarse_multiple", least=0, reads=r.CROPS),
            o("DATASET.ONLY_COARSE", False, "class-uniform part from coarse images only", "--only_coarse", reads=r.CROPS),
            o("DATASET.MASK_OUT_CITYSCAPES", False, "ignore the border of pseudo-labeled images", "--mask_out_cityscapes"),
            o("DATASET.MAPILLARY_RELEASE", "", "Mapillary's labels: v1.2 (where there are both) or v2.0", "--mapillary_release", ("", "v1.2", "v2.0")),
            o("DATASET.MAPILLARY_CROP_VAL", False, "Mapillary validation: height --pre_size, a square of it", "--map_crop_val"),
            o("DATASET.PRE_SIZE", 0, "long edge before augmentation, and of Mapillary's validation (0: 2177)", "--pre_size", least=0, reads=r.crops("nvidia", "mapillary")),
            o("DATASET.CROP_SIZE", (896, 896), 'training crop: one number, or "height,width"', "--crop_size", of=k.height_width, above=0, reads=r.CROPS, common=True),
            o("DATASET.IMG_SIZES", (), "whole images, this long at the short side: training draws one a batch, evaluation averages all; empty: off", "--imgSize", of=k.ints, above=0),
            o("DATASET.IMG_MAX_SIZE", 1000, "with --imgSize: the long side at most", "--imgMaxSize", above=0, reads=r.SIZES),
            o("DATASET.PADDING", 8, "with --imgSize: sides become a multiple of this", "--padding_constant", above=0, reads=r.SIZES),
            o("DATASET.FULL_CROP", False, "crop of the image's own size", "--full_crop_training", reads=r.crops("nvidia")),
            o("DATASET.TRANSLATE_AUG_FIX", False, "small image at random inside the crop", "--translate_aug_fix", reads=r.crops("nvidia")),
            o("DATASET.LABEL_STRIDE", 1, "labels (and so the loss) at 1/this of the crop", "--label_stride --segm_downsampling_rate", above=0),
            o("DATASET.DUMP_IMAGES", False, "write augmented training images", "--dump_augmentation_images"),
        ],
        "Augmentation": [
            o("AUG.TABLE", "nvidia", "steps: bicubic crops as in NVIDIA's code, or PaddleSeg's", "--aug_table", ("nvidia", "paddle"), reads=r.CROPS),
            o("AUG.SCALE_MIN", 0.5, "lower end of the random resize", "--scale_min", above=0, reads=r.CROPS),
            o("AUG.SCALE_MAX", 2.0, "upper end of the random resize", "--scale_max", above=0, most=MOST_SCALE, reads=r.CROPS),
            o("AUG.COLOR", 0.25, "strength of brightness, contrast, saturation, hue", "--color_aug", least=0),
            o("AUG.HUE", 63.0, "paddle: largest turn of the hue, in 1/256 of the circle", "--hue_aug", least=0, reads=r.crops("paddle")),
            o("AUG.GBLUR", False, "Gaussian blur", "--gblur", reads=r.looks("nvidia")),
            o("AUG.BBLUR", False, "bilateral blur (wins over Gaussian)", "--bblur", reads=r.looks("nvidia")),
            o("AUG.RAND_AUGMENT", (), 'RandAugment "N,M": operations, magnitude', "--rand_augment", of=k.count_and_magnitude, least=0, most=100, reads=r.looks("nvidia")),
            o("AUG.MOSAIC", 0.0, "share of the crops that are windows of four crops", "--mosaic", least=0, most=1, reads=r.CROPS),
            o("AUG.CUTMIX", 0.0, "share of the crops with a rectangle of another crop", "--cutmix", least=0, most=1, reads=r.CROPS),
            o("AUG.COPY_PASTE", 0.0, "share of the crops with objects of rare classes of another crop", "--copy_paste", least=0, most=1, reads=r.CROPS),
        ],
        "Loss": [
            o("LOSS.IMG_WT", False, "class-weighted cross entropy", "--img_wt_loss", reads=r.NAMED_LOSS),
            o("LOSS.BATCH_WEIGHTING", False, "class weights over the batch, not the image", "--batch_weighting", reads=r.WEIGHTED),
            o("LOSS.WT_BOUND", 1.0, "upper bound of the extra class weight", "-wb --wt_bound", least=0, reads=r.WEIGHTED),
            o("LOSS.RMI", False, "region mutual information loss (wins over the others)", "--rmi_loss", reads=r.NAMED_LOSS),
            o("LOSS.JOINTWTBORDER", False, "boundary label relaxation", "--jointwtborder", reads=r.NAMED_LOSS),
            o("LOSS.STRICT_BDR_CLS", (), "train ids for which relaxation is off: their pixels keep their own class alone", "--strict_bdr_cls", of=k.ints, least=0, reads=r.RELAXATION),
            o("LOSS.BORDER_WINDOW", 1, "boundary half-width in pixels", least=0, reads=r.RELAXATION),
            o("LOSS.DEEP_SUP_SCALE", 0.4, "weight of the loss on the map before the last (heads ..._deepsup)", "--deep_sup_scale", least=0, reads=r.SECOND_HEAD),
            o("LOSS.OCR_ALPHA", 0.4, "weight of OCR's auxiliary loss", "--ocr_alpha", least=0, reads=r.AUXILIARY),
            o("LOSS.OCR_AUX_RMI", False, "full RMI also for the auxiliary loss", "--ocr_aux_loss_rmi", reads=r.AUXILIARY_RMI),
            o("LOSS.SUPERVISED_MSCALE_WT", 0.0, "weight of the single scales' losses", "--supervised_mscale_loss_wt", least=0, reads=r.SINGLE_SCALES),
            o("LOSS.TERMS", (), "loss:output:weight, comma-separated, in place of the losses above: dice:pred:1,ce:aux:0.4", "--loss_terms", of=k.loss_terms),
            o("LOSS.TEACHER", "", "checkpoint, or folder of a run, of a network of the same classes, whose scores this one learns from as well", "--teacher", reads=r.TAUGHT),
            o("LOSS.DISTILL_WT", 1.0, "weight of the teacher's term", "--distill_wt", least=0, reads=r.DISTILLED),
            o("LOSS.DISTILL_T", 1.0, "temperature that softens the scores of both", "--distill_temperature", above=0, reads=r.loss("the loss distill, by --teacher or in --loss_terms", "distill")),
            o("LOSS.DICE_SMOOTH", 1.0, "dice: added above and below", "--dice_smooth", least=0, reads=r.loss("the loss dice in --loss_terms", "dice")),
            o("LOSS.BOOT_MIN_PIXELS", 100_000, "bootstrapped: pixels of an image that count at least", "--boot_min_pixels", above=0, reads=r.loss("the loss bootstrapped in --loss_terms", "bootstrapped")),
            o("LOSS.BOOT_THRESHOLD", 0.05, "bootstrapped: all pixels of a larger loss count", "--boot_threshold", least=0, reads=r.loss("the loss bootstrapped in --loss_terms", "bootstrapped")),
            o("LOSS.OHEM_THRES", 0.9, "ohem: pixels count whose class is less probable", least=0, most=1, reads=r.loss("the loss ohem", "ohem")),
            o("LOSS.OHEM_KEEP", 131072, "ohem: hardest pixels of a process that count in any case", above=0, reads=r.loss("the loss ohem", "ohem")),
            o("LOSS.CLASS_WEIGHTS", "auto", "ce, ohem, bootstrapped, dice: cityscapes, a number per class, or none; auto: cityscapes for offset nets with 19 classes", of=k.class_weights, reads=r.loss("the losses ce, ohem, bootstrapped, dice", "ce", "ohem", "bootstrapped", "dice")),
            o("LOSS.NORM", "global", "means over all ranks, or over each (published)", "--loss_norm", ("global", "rank")),
        ],
        "Optimizer": [
            o("OPTIM.NAME", "sgd", "optimizer", "--optimizer", ("sgd", "adam", "adamw", "radam", "apex_sgd", "apex_adam"), common=True),
            o("OPTIM.LR", 0.002, "initial learning rate", "--lr --lr_encoder", above=0, common=True),
            o("OPTIM.LR_DECODER", 0.0, "initial learning rate of a decoder; 0: --lr", "--lr_decoder", least=0, reads=r.DECODER),
            o("OPTIM.TRUNK_LR_MULT", 1.0, "factor on the learning rate of the trunk", "--trunk_lr_mult", above=0, reads=r.TRAINED_TRUNK),
            o("OPTIM.LAYER_DECAY", 1.0, "share of its rate that each layer of the trunk has of the layer behind it; ViTs: 0.65 to 0.9", "--layer_decay", above=0, most=1, reads=r.TRAINED_TRUNK),
            o("OPTIM.LAYER", "block", "what a layer of the trunk is: a block or a stage", "--layer", ("block", "stage"), reads=r.LAYERS),
            o("OPTIM.UNFREEZE", (), "epochs from which parts of the trunk are trained, the last part first: 1 or 1,2,4; empty: all from the start", "--unfreeze", of=k.ints, least=0, reads=r.TRAINED_TRUNK),
            o("OPTIM.MOMENTUM", 0.9, "SGD momentum", "--momentum --beta1", least=0, most=1, reads=r.optimizer("sgd", "sgd", "apex_sgd")),
            o("OPTIM.WEIGHT_DECAY", 1e-4, "weight decay", "--weight_decay", least=0),
            o("OPTIM.DECAY_ON", "all", "what decays: every parameter, or weights of convolutions and linear layers", "--decay_on", ("all", "conv")),
            o("OPTIM.AMSGRAD", False, "AMSGrad (adam)", "--amsgrad", reads=r.optimizer("adam and adamw", "adam", "adamw")),
            o("OPTIM.SCHEDULE", "poly", "learning-rate schedule", "--lr_schedule", ("poly", "poly2", "scl-poly", "cosine")),
            o("OPTIM.POLY_EXP", 1.0, "exponent of poly", "--poly_exp --lr_pow", least=0, reads=r.schedule("poly, poly2 and scl-poly", "poly", "poly2", "scl-poly")),
            o("OPTIM.POLY_STEP", 110, "epoch at which poly2 doubles it", "--poly_step", least=0, reads=r.schedule("poly2", "poly2")),
            o("OPTIM.RLX_OFF_EPOCH", -1, "epoch after which relaxation is reduced; -1: never", "--rlx_off_epoch", least=0, off=-1, reads=r.SWITCHED_LOSSES),
            o("OPTIM.RESCALE", 1.0, "scl-poly: factor after that epoch", "--rescale", least=0, reads=r.schedule("scl-poly", "scl-poly")),
            o("OPTIM.REPOLY", 1.5, "scl-poly: exponent after that epoch", "--repoly", least=0, reads=r.schedule("scl-poly", "scl-poly")),
            o("OPTIM.END_LR", 0.0, "learning rate that the schedule ends at", "--end_lr", least=0),
            o("OPTIM.WARMUP", 0.0, "epochs of linear warm-up", "--warmup", least=0),
            o("OPTIM.PER_ITER", False, "move the learning rate every step, not every epoch", "--lr_per_iter"),
        ],
        "Training": [
            o("TRAIN.BATCH_SIZE", 2, "images a step and process", "--bs_trn --batch_size_per_gpu", above=0, common=True),
            o("TRAIN.ACCUM", 1, "batches whose gradients are added up for one step", "--accum", above=0),
            o("TRAIN.MAX_EPOCH", 180, "epochs", "--max_epoch --num_epoch", above=0, common=True),
            o("TRAIN.MAX_ITERS", 0, "iterations (batches), in place of --max_epoch; an epoch is --save_interval of them then", "--max_iters", least=0),
            o("TRAIN.SAVE_INTERVAL", 1000, "with --max_iters: iterations from one checkpoint and validation to the next", "--save_interval", above=0, reads=r.ROUNDS),
            o("TRAIN.EPOCH_ITERS", 0, "iterations an epoch; 0: once through the images", "--epoch_iters", least=0),
            o("TRAIN.DO_EVAL", True, "validate while training", "--do_eval"),
            o("TRAIN.START_EPOCH", 0, "first epoch", "--start_epoch", least=0),
            o("TRAIN.VAL_FREQ", 1, "validate every this many epochs", "--val_freq", above=0, common=True),
            o("TRAIN.PATIENCE", 0, "end after so many validations without a better score; 0: never", "--patience", least=0),
            o("TRAIN.TIME_LIMIT", 0.0, "time that the run may take, over all of its starts, checkpoint and score included: 30m, 1h30m, 8h, 2d, 1-12:00:00, or seconds; the schedule is fitted to it; 0: any", "--time_limit", of=k.seconds, least=0),
            o("TRAIN.SAVE_EVERY", 0, "keep a checkpoint of its own every n epochs; 0: last and best only", "--save_every", least=0),
            o("TRAIN.ASYNC_SAVE", True, "write checkpoints from a copy in memory while training goes on", "--async_save"),
            o("TRAIN.LOG_EVERY", 20, "steps between lines in the log", "--log_every --disp_iter", above=0),
            o("TRAIN.NAN_PATIENCE", 3, "steps in a row that are left out, for a loss or gradients that are not finite, before the run stops; looked at where a line is logged", "--nan_patience", above=0),
            o("TRAIN.TRACK", ("tensorboard",), "where curves and pictures go: tensorboard, wandb, mlflow, trackio, or none", "--track", of=k.names),
            o("TRAIN.GRAD_CLIP", 0.0, "largest gradient norm; 0: off", "--grad_clip", least=0),
            o("TRAIN.EMA", 0.0, "decay of the moving average of weights that is evaluated; 0: off", "--ema", least=0, most=1),
            o("TRAIN.APEX", False, "distributed training, as torchrun switches on by itself", "--apex"),
            o("TRAIN.FP16", False, "mixed precision", "--fp16", common=True),
            o("TRAIN.AMP_OPT_LEVEL", "O1", "O0 fp32, O1 fp16, O2 bf16, O3 half weights at inference", "--amp_opt_level", ("O0", "O1", "O2", "O3"), reads=r.HALF),
            o("TRAIN.SYNCBN", False, "batch norm over all processes", "--syncbn", common=True),
            o("TRAIN.LOCAL_RANK", 0, "filled in by old launchers", "--local_rank --local-rank"),
            o("TRAIN.GLOBAL_RANK", 0, "filled in by the launcher", "--global_rank"),
            o("TRAIN.CHANNELS_LAST", "auto", "memory layout", "--channels_last", ("auto", "on", "off")),
            o("TRAIN.COMPILE", False, "compile trunk and head", "--compile"),
        ],
        "Evaluation": [
            o("EVAL.BATCH_SIZE", 1, "images at a time and process", "--bs_val", above=0),
            o("EVAL.MULTI_SCALE", False, "average over --default_scale and --extra_scales", "--multi_scale_inference"),
            o("EVAL.DEFAULT_SCALE", 1.0, "scale of the input", "--default_scale", above=0, most=MOST_SCALE),
            o("EVAL.EXTRA_SCALES", (0.5, 2.0), "further scales for --multi_scale_inference", "--extra_scales", of=k.floats, above=0, most=MOST_SCALE, reads=r.MULTI_SCALE),
            o("EVAL.DO_FLIP", False, "average with the mirrored image", "--do_flip", common=True),
            o("EVAL.RULE", "auto", "how inputs are scaled; auto: csail with --imgSize, paddle for a .pdparams, else nvidia", "--eval_rule", ("auto", "nvidia", "paddle", "csail", "hrnet")),
            o("EVAL.AUG_EVAL", False, "PaddleSeg's switch for its two flips", "--aug_eval"),
            o("EVAL.FLIP_HORIZONTAL", False, "with --aug_eval: as --do_flip", "--flip_horizontal", reads=r.FLIPS),
            o("EVAL.FLIP_VERTICAL", False, "with --aug_eval: average with the image upside down", "--flip_vertical", reads=r.FLIPS),
            o("EVAL.TILE", 0, "sliding tiles of this size; 0: whole images where they fit", "--tile", least=LEAST_TILE, off=0),
            o("EVAL.TILE_OVERLAP", 0.25, "share of a tile that its neighbor also covers", "--tile_overlap", least=0, below=0.9),
            o("EVAL.INFERENCE_MODE", "", "the sdcnet branch's ways; empty: by --eval_rule", "-im --inference_mode", ("", "sliding", "pooling", "whole")),
            o("EVAL.SCALES", (0.5, 1.0, 2.0), "with --inference_mode: scales that are averaged", "--scales", of=k.floats, above=0, most=MOST_SCALE, reads=r.INFERENCE_MODE),
            o("EVAL.BASE_SIZE", 2048, "hrnet: scale 1 has the long side at so many pixels; 0: at its own", "--base_size", least=0, reads=r.HRNET_RULE),
            o("EVAL.PIECE", (1024, 2048), "hrnet: larger inputs are seen in pieces of this height,width", "--piece", of=k.pair, least=LEAST_TILE, reads=r.HRNET_RULE),
            o("EVAL.SINGLE_SCALE", False, "with --inference_mode: scale 1 alone", "--single_scale", reads=r.INFERENCE_MODE),
            o("EVAL.NO_FLIP", False, "with --inference_mode: without mirrored images", "--no_flip", reads=r.INFERENCE_MODE),
            o("EVAL.WINDOW", 1024, "sliding: side of the windows over a scaled image; a given --crop_size says it as well", "--window", least=LEAST_TILE, reads=r.SLIDING),
            o("EVAL.SLIDING_OVERLAP", 1 / 3, "sliding: share of a window that its neighbor also covers", "--sliding_overlap", least=0, below=0.9, reads=r.SLIDING),
            o("EVAL.FIXED_ASPP_POOL", False, "ASPP's image branch averages over 105x105 places at most", "--fixed_aspp_pool", reads=r.ASPP),
            o("EVAL.SPLIT_COUNT", 1, "parts that the list of images is dealt out to", "--split_count", above=0),
            o("EVAL.SPLIT_INDEX", 0, "which of these parts is evaluated, from 0", "--split_index"),
            o("EVAL.NUM_IMAGES", 0, "only so many images, evenly over all of them; 0: all", "--num_val", least=0),
            o("EVAL.MEMORY_GB", 0.0, "memory that evaluation may use; 0: what is free", "--eval_memory_gb", least=0),
            o("EVAL.NO_METRICS", False, "no scores with --eval", "--no_metrics"),
            o("EVAL.LOG_MSINF_TO_TB", False, "IoU of the single scales to tensorboard", "--log_msinf_to_tb"),
            o("EVAL.SCALE_TABLE", False, "what the scales bring: each alone, their mean, attention, with --do_flip also that, by class and object size; into the report and scales.csv", "--scale_table", reads=r.SCALES),
            o("EVAL.DUMP_ASSETS", False, "write masks, overlays, per-scale maps, attention", "--dump_assets"),
            o("EVAL.DUMP_ALL_IMAGES", False, "write every image, not about ten", "--dump_all_images"),
            o("EVAL.DUMP_IMAGES", False, "rgb/, pred/, compose/ and diff/ of every image, as the sdcnet branch writes them", "--dump_images"),
            o("EVAL.VISUALIZE", False, "result/: image, truth and prediction side by side", "--visualize"),
            o("EVAL.DUMP_PSEUDO_COLOR", False, "added_prediction/ and pseudo_color_prediction/ as PaddleSeg writes them", "--dump_pseudo_color"),
            o("EVAL.DUMP_PALETTE", False, "test_results/: label ids (ACDC: train ids) as PNG with their colors", "--dump_palette"),
            o("EVAL.DUMP_CONFIDENCE", False, "confidence/: how sure each pixel is, as PNG of 8 bits (probability * 255); calibrated where scripts/compare.py --fit has written a temperature beside the checkpoint", "--dump_confidence"),
            o("EVAL.DUMP_TOPN", 0, "the n images a class with the most wrong pixels", "--dump_topn", least=0),
            o("EVAL.DUMP_TOPN_ALL", False, "with --dump_topn: keep all images", "--dump_topn_all", reads=r.TOPN),
            o("EVAL.DUMP_FOR_SUBMISSION", False, "label ids and a zip for the benchmark server", "--dump_for_submission"),
            o("EVAL.DUMP_FOR_AUTO_LABELLING", False, "label ids and confidences", "--dump_for_auto_labelling"),
        ],
    }  # fmt: skip


GROUPS = _table()
OPTIONS = {option.key: option for options in GROUPS.values() for option in options}
# Flags that take several numbers, one after another or with commas.
SEVERAL = ("--imgSize",)
# Published flags that turn a positive key off.
NEGATED = {"--mscale_no3x3": "MODEL.MSCALE_INNER_3x3"}
# Flags that name a free network part by part, in place of --arch. --scales followed by numbers is an option's.
PARTS = ("--trunk", "--head", "--scales")
OFFSETS = "--offsets"  # beside those: a head of offset vectors
# Published flags that never did anything (flag -> takes a value). They are accepted, with one warning.
WITHOUT_EFFECT = {
    "--dataset_inst": True, "--hardnm": True, "--trunk": True, "--brt_aug": False, "--exp": True, "--scf": False,
    "--three_scale": False, "--alt_two_scale": False, "--trial": True, "--mscale_cat_scale_flt": False,
    "--mscale_init": True,
}  # fmt: skip
PUBLISHED = ("small_tile", "img_wt", "relaxation", "dice_v2.0", "dice_v2.1", "dice_labels", "softmax_sum",
             "sliding_counts", "pooling_input", "wall_padding", "grid_false", "confidence_ignored")  # fmt: skip

TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio", "none")


def flags() -> dict[str, Option]:
    """Every flag on the command line and its option."""
    return {flag: option for option in OPTIONS.values() for flag in option.flags.split()}


def defaults() -> dict[str, Any]:
    """{key: default} of every option."""
    return {key: option.default for key, option in OPTIONS.items()}


def get(cfg: CfgNode, key: str) -> Any:
    """Look up the value of a dotted key in the tree."""
    node: Any = cfg
    for part in key.split("."):
        node = node[part]
    return node
